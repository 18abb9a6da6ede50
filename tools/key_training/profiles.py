"""Published key profiles, which estimate a key from notes."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# Major and minor, from the tonic up.
PROFILES = {
    # Krumhansl and Kessler (1982), as in Krumhansl (1990), table 2.1.
    "krumhansl": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
    # Temperley (2001), The Cognition of Basic Musical Structures, chapter 7.
    "temperley": (
        (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0),
        (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0),
    ),
    # Albrecht and Shanahan (2013), Music Perception 31.
    "albrecht": (
        (238, 6, 111, 6, 137, 94, 16, 214, 9, 80, 8, 81),
        (220, 6, 104, 123, 19, 103, 12, 214, 62, 22, 61, 52),
    ),
    # Aarden (2003), Dynamic Melodic Expectancy, from the Essen folk songs.
    "aarden": (
        (17.77, 0.15, 14.93, 0.16, 19.8, 11.36, 0.29, 22.06, 0.15, 8.15, 0.23, 4.95),
        (18.26, 0.74, 14.05, 16.86, 0.7, 14.44, 0.7, 18.62, 4.57, 1.93, 7.38, 1.76),
    ),
}
# The softmax temperature: correlations this close share the vote.
_EQUAL = 0.02
# Krumhansl's profiles weigh most, as most annotations made from notes use them.
_SHARES = (0.5, 0.1, 0.25, 0.15)


def _standardised(values: Vector) -> Vector:
    standardised: Vector = (values - values.mean()) / max(values.std(), 1e-9)
    return standardised


# (profile, key, pitch class)
_ROLLED = np.array(
    [
        [
            np.roll(_standardised(np.array(profile)), tonic)
            for profile in modes
            for tonic in range(12)
        ]
        for modes in PROFILES.values()
    ]
)


def fits(classes: Vector) -> Vector:
    """Return the correlation of each profile with each key, (profiles, 24)."""
    correlations: Vector = _ROLLED @ _standardised(classes) / 12
    return correlations


def votes(classes: Vector) -> Vector:
    """Return the profiles' weighted votes for 24 keys, which sum to one."""
    correlations = fits(classes)
    lead = correlations - correlations.max(axis=1, keepdims=True)
    powers = np.exp(lead / _EQUAL)
    weighted: Vector = _SHARES @ (powers / powers.sum(axis=1, keepdims=True))
    return weighted
