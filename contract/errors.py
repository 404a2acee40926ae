"""Everything that can go wrong, as one tree.

GoldgateError
├── InputError            the caller can mend it: bad file, bad terms, wrong stage      exit 2
│   ├── TermsError        the contract's YAML is wrong or leaves a decision open
│   ├── SourceError       a file or item cannot be taken in
│   ├── LabelsError       a label table breaks its schema, the lot or the guideline
│   ├── FormatError       an exchange file cannot be read or written
│   ├── WeightsError      weights are missing, unsafe, or not those that were pinned
│   ├── DeviceError       the device that was asked for is not there
│   ├── StageError        the work folder lacks an earlier stage, or holds another's result
│   ├── DeliveryError     a package, a key or the audit log is damaged, foreign or expired
│   └── StorageError      the disk is full or may not be written
├── PredictorError        a model failed on every item of a chunk                       exit 1
├── StoppedError          a job was told to stop before its end                         exit 1
└── EndpointError         a server elsewhere refused or did not answer                  exit 1

Messages are one sentence that names the file, the item and the remedy.
"""


class GoldgateError(Exception):
    """Base of every error that goldgate raises on purpose."""


class InputError(GoldgateError):
    """Bad input or usage: the caller can mend it."""


class TermsError(InputError):
    """The contract's YAML is wrong, or leaves open a field that decides a verdict."""


class SourceError(InputError):
    """A file or an item cannot be taken in."""


class LabelsError(InputError):
    """A label table breaks its schema, names a foreign item, or uses an unknown class."""


class FormatError(InputError):
    """An exchange file (COCO, YOLO, Label Studio and the like) cannot be read or written."""


class WeightsError(InputError):
    """Weights are missing, unsafe to load, or differ from their pinned digest."""


class DeviceError(InputError):
    """The device that was asked for is not present."""


class StageError(InputError):
    """The work folder lacks the stage that this command stands on."""


class DeliveryError(InputError):
    """A package, a key or the audit log is damaged, belongs to somebody else, or is out of date."""


class StorageError(InputError):
    """The disk is full, or the folder may not be written."""


class PredictorError(GoldgateError):
    """A model failed on every item of a chunk: its own fault, not the items'."""


class StoppedError(GoldgateError):
    """A job was told to stop before its end; what was finished stands."""


class EndpointError(GoldgateError):
    """A server elsewhere refused the call or did not answer."""
