"""The words that the clinic is made of. Names and towns are invented; codes are those of public code systems.

No name is a common word, so that a search for it finds nobody else's text.
"""

from __future__ import annotations

# fmt: off
FAMILY_NAMES = (
    "Quillmarsh", "Brandolane", "Vostrelle", "Tammerick", "Ashquill", "Dunnerby", "Feltrano", "Gorrisday", "Hexenby",
    "Ironvale", "Jorrowitz", "Kestrivan", "Lomberay", "Marrowick", "Nettlefane", "Oldervaux", "Pellingrad", "Quorrell",
    "Rastivoy", "Silverlund", "Thornwicke", "Umberfeld", "Varnastead", "Wexcombe", "Yarrowgate", "Zellander",
    "Brackenvoss", "Corvandale", "Drummelow", "Eskermont", "Fennimarch", "Grauwendt", "Hollisterne", "Inglevard",
    "Jessamoor", "Krandolph", "Lindquarry", "Mossenger", "Norvelle", "Ostrander-Fy", "O'Quennell", "de la Vorne",
    "Prüddemann", "Rosenfjell", "Saltenby", "Trevanoux", "Ulverstrom", "Wintermalz", "Yngvaldsen", "Zíbranek",
)
GIVEN_NAMES = {
    "female": (
        "Taverilla", "Brisanne", "Corvelle", "Delphira", "Elowynne", "Fiorenna", "Gwendara", "Hesperine", "Ilvane",
        "Jorinthe", "Kalistra", "Lunelle", "Mirabeth", "Nerissande", "Ottalie", "Perrine-Ro", "Quenby", "Rosavelle",
        "Sunniva-Lo", "Thessaly", "Ursaline", "Vespera", "Wilhemara", "Yselda", "Zorianna",
    ),
    "male": (
        "Aldemar", "Bastrian", "Corwinn", "Dorrick", "Eadmundo", "Fenwicke", "Garrivald", "Haldrik", "Isambert",
        "Jorvald", "Kelrick", "Leofando", "Mordecan", "Nathaniro", "Osgrim", "Peverel", "Quarrion", "Rothgar",
        "Stellanor", "Tiberon", "Ulfric", "Valdemaro", "Wystan", "Yorrick", "Zephrin",
    ),
}
STREETS = ("Larkspindle Way", "Copperquay Street", "Hollowmere Road", "Tinderbrook Lane", "Saddleholt Avenue",
           "Wrenfallow Court", "Millgarrow Street", "Old Quarrenden Pike")
# (ZIP, invented town, state, weight): 036, 059, 102 and 821 have 20,000 inhabitants or fewer by the census of 2010,
# 340 is the armed forces' and has none; the others may be shown.
HOMES = (
    ("02139", "Marlowe Falls", "MA", 26), ("02472", "East Quillport", "MA", 16), ("01902", "Harrowhaven", "MA", 10),
    ("06103", "Stannerbridge", "CT", 12), ("06511", "Eldmere", "CT", 8), ("10463", "Brightwater Rise", "NY", 10),
    ("03602", "Tollgate Notch", "NH", 4), ("05901", "Northern Lamprey", "VT", 4), ("10282", "Pier Wardens", "NY", 3),
    ("82190", "Geyser Halt", "WY", 2), ("34002", "Fleet Mail Seven", "AA", 1), ("00000", "Unsettled", "MA", 1),
    ("02139-4307", "Marlowe Falls", "MA", 3),
)
# fmt: on

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
SSN = "http://hl7.org/fhir/sid/us-ssn"
NPI = "http://hl7.org/fhir/sid/us-npi"
MRN = "https://clinic.example/mrn"
TERMS = "http://terminology.hl7.org/CodeSystem"

# Findings: SNOMED CT code, display, whether it stays.
CONDITIONS = (
    ("38341003", "Raised blood pressure", True),
    ("44054006", "Diabetes, type 2", True),
    ("195967001", "Asthma", True),
    ("13645005", "Chronic obstructive lung disease", True),
    ("84114007", "Heart failure", True),
    ("53741008", "Coronary artery disease", True),
    ("444814009", "Viral sinusitis", False),
    ("10509002", "Acute bronchitis", False),
    ("233604007", "Pneumonia", False),
    ("43878008", "Streptococcal sore throat", False),
)
HYPERTENSION = "38341003"
PROCEDURES = (
    ("710824005", "Assessment of health"),
    ("430193006", "Medication reconciliation"),
    ("29303009", "Electrocardiogram"),
    ("399208008", "Chest X-ray"),
    ("76601001", "Injection into muscle"),
)
MEDICATIONS = (
    ("314076", "lisinopril 10 mg tablet", "38341003"),
    ("308136", "amlodipine 2.5 mg tablet", "38341003"),
    ("310798", "hydrochlorothiazide 25 mg tablet", "38341003"),
    ("860975", "metformin 500 mg slow tablet", "44054006"),
    ("259255", "atorvastatin 80 mg tablet", "53741008"),
    ("313782", "acetaminophen 325 mg tablet", None),
)
VACCINES = (("140", "Influenza, no preservative"), ("113", "Tetanus, diphtheria"), ("133", "Pneumococcal, 13-valent"))
ALLERGIES = (("91936005", "Penicillin"), ("91935009", "Peanut"), ("300913006", "Shellfish"), ("232350006", "Dust mite"))

# Panels of the laboratory: LOINC code, display, analytes. An analyte: LOINC code, display, HL7 type, UCUM unit, low,
# high, decimals; of a coded one, the SNOMED CT codes that it may be.
PANELS = (
    ("24320-4", "Basic metabolic panel", (
        ("2345-7", "Glucose", "NM", "mg/dL", 70, 110, 0), ("2160-0", "Creatinine", "NM", "mg/dL", 0.6, 1.3, 2),
        ("2951-2", "Sodium", "NM", "mmol/L", 135, 145, 0), ("2823-3", "Potassium", "NM", "mmol/L", 3.5, 5.1, 1),
    )),
    ("58410-2", "Blood count", (
        ("6690-2", "Leukocytes", "NM", "10*3/uL", 4.5, 11, 2), ("718-7", "Hemoglobin", "NM", "g/dL", 12, 17, 1),
        ("777-3", "Platelets", "NM", "10*3/uL", 150, 400, 0),
    )),
    ("24331-1", "Lipids", (
        ("2093-3", "Cholesterol", "NM", "mg/dL", 120, 240, 0),
        ("13457-7", "LDL cholesterol", "NM", "mg/dL", 60, 160, 0),
    )),
    ("14749-6", "Glucose, molar", (("14749-6", "Glucose, molar", "NM", "mmol/L", 3.9, 6.1, 2),)),
    ("4548-4", "HbA1c", (("4548-4", "HbA1c", "NM", "%", 4, 9, 1),)),
    ("24356-8", "Urinalysis", (
        ("5802-4", "Nitrite", "CWE", None, 0, 0, 0), ("5811-5", "Specific gravity", "NM", "1", 1.003, 1.03, 3),
        ("1988-5", "C reactive protein", "SN", "mg/L", 1, 9, 1),
    )),
)  # fmt: skip
FOUND = (("10828004", "Positive"), ("260385009", "Negative"), ("419984006", "Inconclusive"))
