"""Devices that people wear, which send heart rate and oxygen saturation; who wears one changes.

A wrist device says whose reading it is, a patch only which device: who wore it then, its Device says.
"""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, MINUTE, OPEN_END, iso, stamp

from .clinic import Clinic, Row, new_resource, put, record_of, somebody, subject
from .clock import local
from .fhir import Resource, loinc, quantity, reference, snomed, term
from .truth import note, note_reading

_METRICS = (("8867-4", "Heart rate", "/min", 74, 9), ("59408-5", "Oxygen saturation", "%", 96, 1.4))
_MODELS = ("Tidewatch wrist", "Tidewatch patch")
MINIMUM_DAYS = 10  # that a device stays with somebody


@on("device.buy")
def buy(clinic: Clinic, t: int, model: int) -> None:
    """A device is bought, and worn by somebody."""
    resource = new_resource(clinic, "Device") | {
        "status": "active",
        "manufacturer": "Tidewatch Instruments",
        "serialNumber": f"TW-{clinic.seed}-{len(clinic.devices) + 1:04}",
        "deviceName": [{"name": _MODELS[model], "type": "model-name"}],
        "type": snomed("448703006", "Pulse oximeter"),
    }
    device: Row = {"resource": resource, "model": model, "wearer": None, "before": None, "since": t, "days": 0}
    clinic.devices[resource["id"]] = device
    _hand_over(clinic, t, device, somebody(clinic))


@on("device.change")
def hand_over(clinic: Clinic, t: int, to_nobody: bool) -> None:
    """The device that has been worn longest, or lies about, is given to somebody else, or to nobody."""
    device = min(clinic.devices.values(), key=lambda each: each["since"])
    if t - device["since"] >= MINIMUM_DAYS * DAY:
        _hand_over(clinic, t, device, None if to_nobody else somebody(clinic))


def _hand_over(clinic: Clinic, t: int, device: Row, person: Row | None) -> None:
    resource: Resource = device["resource"]
    if device["wearer"] is not None:
        note(clinic, "wearers", (resource["id"], stamp(device["since"]), stamp(t), *device["wearer"]))
    resource.pop("patient", None)
    device["before"], device["wearer"], device["since"] = device["wearer"], None, t
    if person is not None:
        record = record_of(clinic, person)
        resource["patient"] = subject(record)
        device["wearer"] = (person["id"], record["id"])
        note(clinic, "wearers", (resource["id"], stamp(t), OPEN_END, *device["wearer"]))
    put(clinic, t, resource, None if person is None else person["id"])
    # Readings of the last minute before, and of the first after.
    for at in (t - MINUTE, t + MINUTE) if device["days"] else ():
        schedule(clinic, max(t, at), "device.read", resource["id"], at)


@on("device.read")
def read(clinic: Clinic, t: int, device_id: str, at: int) -> None:
    """A device hands over what it read at a moment, which may be a while ago."""
    device = clinic.devices[device_id]
    rng = clinic.rng
    worn: Any = device["wearer"] if at >= device["since"] else device["before"]
    if worn is not None and clinic.people[worn[0]]["died_at"] is not None:
        return
    for code, name, unit, middle, spread in _METRICS:
        value = min(100 if unit == "%" else 190, round(rng.gauss(middle, spread)))
        reading = new_resource(clinic, "Observation") | {
            "status": "final",
            "category": [term("observation-category", "vital-signs")],
            "code": loinc(code, name),
            "device": reference("Device", device_id),
            "valueQuantity": quantity(str(value), unit),
        }
        if device["model"] == 0 and worn is not None:
            reading["subject"] = subject(clinic.records[worn[1]])
            reading["effectiveDateTime"] = local(at)
        else:
            reading["effectiveInstant"] = iso(at)[:-1] + ".250Z"
        put(clinic, t, reading, worn and worn[0])
        note_reading(clinic, device_id, worn and worn[0], at, code, value)


def wear_through(clinic: Clinic, day: int) -> None:
    """Plan a day's readings of all devices that are worn."""
    for device_id, device in clinic.devices.items():
        device["days"] += 1
        if device["wearer"] is not None:
            for hour in (4, 12, 20):
                at = day * DAY + hour * HOUR + clinic.rng.randrange(3 * HOUR)
                schedule(clinic, at + 30, "device.read", device_id, at)
