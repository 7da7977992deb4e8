"""Phone audio: level, band, silence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from protocols.audio.g711 import RATE
from tts.engine import EngineError, Pcm
from tts.phone_audio import CEILING_DBFS, LEAD_S, LEVEL_DBFS, TRAIL_S, active_level, to_phone


def tone(frequency: float, *, rate: int = 22_050, duration_s: float = 1.0) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * duration_s)) / rate)


def pcm(samples: NDArray[np.float64], level: float = 0.2, rate: int = 22_050) -> Pcm:
    return Pcm((samples * level * 32767).astype(np.int16), rate)


def dbfs(samples: NDArray[np.int16]) -> float:
    return 20 * math.log10(active_level(samples.astype(np.float32) / 32768))


def part_at(samples: NDArray[np.int16], frequency: float) -> float:
    """How large a frequency is within samples, in dB below all of them together."""
    floats = samples.astype(np.float64)
    turns = np.exp(-2j * np.pi * frequency * np.arange(len(floats)) / RATE)
    power = 2 * abs(np.mean(floats * turns)) ** 2
    return 10 * math.log10(max(power, 1e-12) / np.mean(floats**2))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_rate(rate: int) -> None:
    """Audio of any rate becomes 8 kHz audio of the same length and pitch."""
    phone = to_phone(pcm(tone(1_000, rate=rate), rate=rate))
    assert len(phone) / RATE == pytest.approx(1.0 + LEAD_S + TRAIL_S, abs=0.02)
    assert part_at(phone[int(LEAD_S * RATE) :][: RATE // 2], 1_000) > -0.1


@pytest.mark.parametrize("level", [0.03, 0.1, 0.9])
def test_level(level: float) -> None:
    """Quiet and loud audio leave at one level, and never near full scale."""
    chance = np.random.default_rng(1)
    bursts = chance.normal(size=22_050) * (0.55 + 0.45 * tone(3))
    phone = to_phone(pcm(bursts / np.abs(bursts).max(), level))
    assert dbfs(phone) == pytest.approx(LEVEL_DBFS, abs=0.5)
    assert np.abs(phone).max() <= 32767 * 10 ** (CEILING_DBFS / 20) + 1


def test_pauses_do_not_make_it_louder() -> None:
    """The level is that of the speech, whatever the pauses between."""
    words = pcm(np.concatenate([tone(700), np.zeros(44_100), tone(700)]))
    assert dbfs(to_phone(words)) == pytest.approx(LEVEL_DBFS, abs=0.3)


def test_low_rumble_is_cleared() -> None:
    """What a phone does not carry below its band goes, and does not count as loudness."""
    phone = to_phone(pcm(tone(100) + 0.1 * tone(1_000), 0.5))[3_000:8_000]
    assert part_at(phone, 100) < -15
    assert part_at(phone, 1_000) > -1


@pytest.mark.parametrize("frequency", [4_500, 5_000, 7_000, 10_000])
def test_no_aliases(frequency: float) -> None:
    """What lies above the phone's band does not come back within it."""
    mixed = pcm(0.5 * tone(2_300) + 0.5 * tone(frequency), 0.9)
    middle = to_phone(mixed)[3_000:7_000]
    folded = abs(8_000 - frequency) if frequency < 8_000 else frequency - 8_000
    assert part_at(middle, folded) < -60


def test_pre_emphasis_lifts_high_tones() -> None:
    """With pre-emphasis, high tones stand out more against low ones."""
    both = pcm(tone(500) + tone(3_000), 0.3)
    flat, lifted = to_phone(both), to_phone(both, 0.7)
    assert part_at(lifted, 3_000) - part_at(lifted, 500) > 9
    assert part_at(flat, 3_000) - part_at(flat, 500) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("silence_s", [0.0, 0.7, 3.0])
def test_silence_at_the_ends(silence_s: float) -> None:
    """However much silence the engine leaves, the listener gets the same."""
    silence = np.zeros(int(silence_s * 22_050))
    phone = to_phone(pcm(np.concatenate([silence, tone(800), silence])))
    (heard,) = np.nonzero(np.abs(phone) > 200)
    assert heard[0] / RATE == pytest.approx(LEAD_S, abs=0.02)
    assert (len(phone) - heard[-1]) / RATE == pytest.approx(TRAIL_S, abs=0.02)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(22_050), np.zeros(0), np.zeros(5), tone(1_000) * 0.001, tone(20)],
    ids=["silence", "nothing", "a moment", "a whisper", "a rumble"],
)
def test_silent_audio_is_an_error(samples: NDArray[np.float64]) -> None:
    """An engine that says nothing is told apart from one that speaks."""
    with pytest.raises(EngineError, match="silent"):
        to_phone(pcm(samples, 0.1))


def test_full_scale_input() -> None:
    """The loudest input there is does no harm."""
    square = np.where(tone(200) > 0, 32767, -32768).astype(np.int16)
    phone = to_phone(Pcm(square, 22_050))
    assert np.abs(phone.astype(int)).max() <= 32767 * 10 ** (CEILING_DBFS / 20) + 1
