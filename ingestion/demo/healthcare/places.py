"""The clinic's organizations, places and staff."""

from __future__ import annotations

from .clinic import Clinic, new_id, new_resource, put
from .fhir import Resource, reference, snomed
from .vocabulary import FAMILY_NAMES, GIVEN_NAMES, NPI, TERMS

_ORGANIZATIONS = ("Marlowe Falls Clinic", "Marlowe Falls Laboratory")
_LOCATIONS = ("Outpatients", "Ward 3", "Emergency")
_SPECIALTIES = (("394814009", "General practice"), ("394579002", "Cardiology"), ("394802001", "General medicine"))


def found(clinic: Clinic, t: int) -> None:
    """Open the clinic: its organizations, places, and a dozen who work there."""
    address = {"city": "Marlowe Falls", "state": "MA", "postalCode": "02139", "country": "US"}
    for name in _ORGANIZATIONS:
        resource = new_resource(clinic, "Organization") | {"active": True, "name": name, "address": [address]}
        clinic.places.setdefault("organizations", []).append(put(clinic, t, resource))
    organization = reference("Organization", clinic.places["organizations"][0])
    for name in _LOCATIONS:
        place = {"status": "active", "name": name, "mode": "instance", "managingOrganization": organization}
        clinic.places.setdefault("locations", []).append(put(clinic, t, new_resource(clinic, "Location") | place))
    for number in range(12):
        hire(clinic, t, number, organization)


def hire(clinic: Clinic, t: int, number: int, organization: Resource) -> None:
    """Somebody begins to work there."""
    sex = ("female", "male")[number % 2]
    family, given = clinic.rng.choice(FAMILY_NAMES), clinic.rng.choice(GIVEN_NAMES[sex])
    npi = f"99999{10_000 + 37 * number}"
    practitioner = new_resource(clinic, "Practitioner") | {
        "identifier": [{"system": NPI, "value": npi}],
        "active": True,
        "name": [{"family": family, "given": [given], "prefix": ["Dr."]}],
        "gender": sex,
    }
    practitioner_id = put(clinic, t, practitioner)
    role = new_resource(clinic, "PractitionerRole") | {
        "active": True,
        "practitioner": reference("Practitioner", practitioner_id) | {"identifier": {"system": NPI, "value": npi}},
        "organization": organization,
        "specialty": [snomed(*_SPECIALTIES[number % len(_SPECIALTIES)])],
    }
    put(clinic, t, role)
    clinic.places.setdefault("staff", []).append((practitioner_id, f"Dr. {given} {family}"))


def participant(clinic: Clinic) -> Resource:
    """Somebody of the staff, as taking part in an encounter."""
    practitioner_id, name = clinic.rng.choice(clinic.places["staff"])
    kind = {"coding": [{"system": f"{TERMS}/v3-ParticipationType", "code": "PPRF"}]}
    return {"type": [kind], "individual": reference("Practitioner", practitioner_id, name)}


def a_new_id(clinic: Clinic) -> str:
    """An id that no resource has."""
    return new_id(clinic, "nobody")
