"""The words that the simulated company is made of."""

from __future__ import annotations

import unicodedata

# fmt: off
FIRST_NAMES = (
    "Amelia", "Olivia", "Isla", "Ava", "Mia", "Ivy", "Lily", "Grace", "Freya", "Willow", "Florence", "Emily",
    "Ella", "Rosie", "Evie", "Noah", "Oliver", "George", "Arthur", "Muhammad", "Leo", "Harry", "Oscar", "Archie",
    "Henry", "Theo", "Freddie", "Jack", "Charlie", "Alfie", "Zoë", "Chloé", "Jürgen", "Søren", "Niamh", "Siobhán",
    "Aoife", "Pádraig", "Lukas", "Anna", "Lena", "Felix", "Camille", "Louis", "Manon", "Hugo", "Sofia", "Mateo",
    "Lucía", "Emma", "Liam", "Ethan", "Harper", "Daan", "Sanne", "Bram", "Femke", "Elif", "Deniz", "Priya",
    "Mary Ann", "Jean Paul", "Anne Marie", "Ana Maria",
)
LAST_NAMES = (
    "Smith", "Jones", "Taylor", "Brown", "Williams", "Wilson", "Johnson", "Davies", "Patel", "Robinson", "Wright",
    "Thompson", "Evans", "Walker", "White", "Roberts", "Green", "Hall", "Wood", "Jackson", "Clarke", "Khan",
    "Hughes", "Edwards", "Murphy", "Kelly", "O'Brien", "Byrne", "Ryan", "O'Sullivan", "Müller", "Schmidt",
    "Schneider", "Fischer", "Weber", "Wagner", "Becker", "Hoffmann", "Martin", "Bernard", "Dubois", "Thomas",
    "Petit", "García", "Fernández", "López", "Miller", "Davis", "Anderson", "Garcia", "Jansen", "Bakker",
    "Visser", "Smit", "Yildiz", "Kaya", "Sharma", "Singh", "Ahmed", "Begum", "van den Berg", "de la Cruz",
    "Le Gall", "St. John",
)
# fmt: on
_PLAIN = str.maketrans({"\u0131": "i", "ø": "o", "ß": "ss", "'": "", ".": "", " ": "-"})
EMAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")

# country code: (weight, currency, tax in per cent, cities with region)
COUNTRIES: dict[str, tuple[int, str, int, tuple[tuple[str, str | None], ...]]] = {
    "GB": (
        68,
        "GBP",
        20,
        (
            ("London", "Greater London"),
            ("Manchester", "Greater Manchester"),
            ("Leeds", "West Yorkshire"),
            ("Bristol", None),
            ("Cardiff", "Wales"),
            ("Glasgow", "Scotland"),
            ("Belfast", "Northern Ireland"),
            ("York", "North Yorkshire"),
        ),
    ),
    "IE": (9, "EUR", 23, (("Dublin", "Leinster"), ("Cork", "Munster"), ("Galway", "Connacht"))),
    "DE": (7, "EUR", 19, (("Berlin", None), ("Köln", "Nordrhein-Westfalen"), ("München", "Bayern"))),
    "FR": (5, "EUR", 20, (("Paris", None), ("Lyon", None), ("Nantes", "Loire-Atlantique"))),
    "NL": (3, "EUR", 21, (("Amsterdam", None), ("Utrecht", None))),
    "US": (6, "USD", 0, (("Portland", "OR"), ("Boston", "MA"), ("Austin", "TX"))),
    "CA": (2, "USD", 0, (("Toronto", "ON"), ("Montréal", "QC"))),
}
# How many hundredths of a pound's price one hundredth in the currency is worth, in thousandths.
RATES = {"GBP": 1000, "EUR": 1160, "USD": 1270}
STREETS = (
    "High Street",
    "Church Lane",
    "Station Road",
    "Mill Lane",
    "Park Avenue",
    "Queen's Road",
    "The Green",
    "Bridge Street",
)

CATEGORIES = {
    "Kitchen": ("Mugs", "Baking", "Tea Time", "Storage Tins"),
    "Garden": ("Planters", "Lanterns", "Bird Feeders", "Tools"),
    "Home": ("Cushions", "Candles", "Clocks", "Frames"),
    "Stationery": ("Notebooks", "Cards", "Gift Wrap", "Pens"),
    "Toys": ("Puzzles", "Soft Toys", "Games", "Craft Kits"),
    "Accessories": ("Bags", "Umbrellas", "Scarves", "Jewellery"),
}
PRODUCT_STYLES = (
    "Retro Spot",
    "Vintage",
    "Scandinavian",
    "Floral",
    "Striped",
    "Enamel",
    "Woodland",
    "Botanical",
    "Plain",
    "Polka Dot",
)
PRODUCT_SIZES = ("Small", "Medium", "Large", "Set of 3", "Set of 6")
REFUND_REASONS = ("damaged in transit", "wrong item", "not as described", "changed mind")

RETAIL_COLOURS = ("RED", "BLUE", "PINK", "WHITE", "IVORY", "GREEN", "BLACK", "CREAM")
RETAIL_STYLES = ("RETROSPOT", "HEART", "WOODLAND", "UNION JACK", "FRENCH FLORAL", "PAISLEY", "SKULL")
RETAIL_THINGS = (
    "T-LIGHT HOLDER",
    "LUNCH BOX",
    "JUMBO BAG",
    "CAKE STAND",
    "HAND WARMER",
    "WALL CLOCK",
    "PARASOL",
    "DOORMAT",
    "HOT WATER BOTTLE",
    "PHOTO FRAME",
    "GIFT TAPE",
    "NAPKINS",
)
# Descriptions that a careless reader of CSV trips over.
RETAIL_AWKWARD = (
    "DECORATION HEN ON NEST, HANGING",
    'RECORD FRAME 7" SINGLE SIZE',
    "AIRLINE LOUNGE,METAL SIGN",
    'SET OF 4 "HOME, SWEET HOME" TINS',
    "GIFT BOX\nWITH LID, ASSORTED",
    "POPPY'S PLAYHOUSE BEDROOM",
)
RETAIL_NOTES = (
    "damaged",
    "?",
    "check",
    "wet/rusty",
    "found",
    "lost in space",
    "thrown away",
    "mixed up",
    "smashed, see book",
)
RETAIL_COUNTRIES = ("United Kingdom",) * 20 + (
    "EIRE",
    "Germany",
    "France",
    "Spain",
    "Netherlands",
    "Channel Islands",
    "Unspecified",
)


def plain(name: str) -> str:
    """A name as it stands in an email address: lower case ASCII."""
    folded = unicodedata.normalize("NFKD", name.lower().translate(_PLAIN))
    return folded.encode("ascii", "ignore").decode()
