"""Which elements of R4 may be of several types, by the last part of their path.

JSON spells `value[x]` as `valueString`, `valueQuantity` and so on; a path says `value`.
https://hl7.org/fhir/R4/formats.html#choice
"""

from __future__ import annotations

from collections.abc import Mapping

_ANY = (
    "Address Age Annotation Attachment Base64Binary Boolean Canonical Code CodeableConcept "
    "Coding ContactDetail ContactPoint Contributor Count DataRequirement Date DateTime Decimal "
    "Distance Dosage Duration Expression HumanName Id Identifier Instant Integer Markdown Meta "
    "Money Oid ParameterDefinition Period PositiveInt Quantity Range Ratio Reference "
    "RelatedArtifact SampledData Signature String Time Timing TriggerDefinition UnsignedInt Uri "
    "Url UsageContext Uuid"
)
_CHOICES = {
    "abatement": "Age DateTime Period Range String",
    "additive": "CodeableConcept Reference",
    "age": "Age CodeableConcept Range String",
    "allowed": "Boolean CodeableConcept Money String UnsignedInt",
    "amount": "Quantity Range Ratio String",
    "answer": "Boolean Coding Date DateTime Decimal Integer Quantity Reference String Time",
    "asNeeded": "Boolean CodeableConcept",
    "author": "Reference String",
    "born": "Date Period String",
    "bounds": "Duration Period Range",
    "characteristic": "CodeableConcept Quantity",
    "chargeItem": "CodeableConcept Reference",
    "code": "CodeableConcept Reference",
    "collected": "DateTime Period",
    "content": "Attachment Reference String",
    "created": "DateTime Period",
    "date": "DateTime Period",
    "deceased": "Age Boolean Date DateTime Range String",
    "defaultValue": _ANY,
    "definingSubstance": "CodeableConcept Reference",
    "definition": (
        "Canonical CodeableConcept DataRequirement Expression Reference TriggerDefinition Uri"
    ),
    "detail": "Boolean CodeableConcept Integer Quantity Range Ratio String",
    "diagnosis": "CodeableConcept Reference",
    "dose": "Quantity Range",
    "doseNumber": "PositiveInt String",
    "due": "Date Duration",
    "effective": "DateTime Instant Period Timing",
    "entity": "CodeableConcept Reference",
    "event": "Coding Uri",
    "example": "Boolean Canonical",
    "fastingStatus": "CodeableConcept Duration",
    "fixed": _ANY,
    "identified": "DateTime Period",
    "indication": "CodeableConcept Reference",
    "item": "CodeableConcept Reference",
    "legallyBinding": "Attachment Reference",
    "location": "Address CodeableConcept Reference",
    "manufacturer": "Reference String",
    "maxValue": "Date DateTime Decimal Instant Integer PositiveInt Quantity Time UnsignedInt",
    "medication": "CodeableConcept Reference",
    "minValue": "Date DateTime Decimal Instant Integer PositiveInt Quantity Time UnsignedInt",
    "minimumVolume": "Quantity String",
    "module": "Canonical CodeableConcept Uri",
    "multipleBirth": "Boolean Integer",
    "name": "Reference Url",
    "occurred": "DateTime Period",
    "occurrence": "DateTime Period String Timing",
    "offset": "Duration Range",
    "onset": "Age DateTime Period Range String",
    "participantEffective": "DateTime Duration Period Timing",
    "pattern": _ANY,
    "performed": "Age DateTime Period Range String",
    "probability": "Decimal Range",
    "procedure": "CodeableConcept Reference",
    "product": "CodeableConcept Reference",
    "quantity": "Quantity Range Ratio",
    "rate": "Quantity Range Ratio",
    "reported": "Boolean Reference",
    "scheduled": "Period String Timing",
    "seriesDoses": "PositiveInt String",
    "serviced": "Date Period",
    "source": "Attachment Canonical Reference Uri",
    "start": "CodeableConcept Date",
    "statusReason": "CodeableConcept Reference",
    "studyEffective": "DateTime Duration Period Timing",
    "subject": "CodeableConcept Reference",
    "substance": "CodeableConcept Reference",
    "target": "Canonical Identifier Reference Uri",
    "time": "DateTime Period",
    "timing": "Age Date DateTime Duration Period Range Reference Timing",
    "topic": "CodeableConcept Reference",
    "used": "Money String UnsignedInt",
    "value": _ANY,
    "when": "Period Range",
}

# Element name to the JSON keys it may have.
KEYS: Mapping[str, frozenset[str]] = {
    name: frozenset(name + suffix for suffix in suffixes.split())
    for name, suffixes in _CHOICES.items()
}

# The data types: a name that is none of these names a resource.
_DATA_TYPES = (
    "base64Binary boolean canonical code date dateTime decimal id instant integer markdown "
    "oid positiveInt string time unsignedInt uri url uuid xhtml Address Age Annotation "
    "Attachment BackboneElement CodeableConcept Coding ContactDetail ContactPoint "
    "Contributor Count DataRequirement Distance Dosage Duration Element ElementDefinition "
    "Expression Extension HumanName Identifier MarketingStatus Meta Money Narrative "
    "ParameterDefinition Period Population ProdCharacteristic ProductShelfLife Quantity "
    "Range Ratio Reference RelatedArtifact SampledData Signature SubstanceAmount Timing "
    "TriggerDefinition UsageContext"
)
DATA_TYPES = frozenset(_DATA_TYPES.split())
