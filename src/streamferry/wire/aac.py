"""AAC: its sampling rates, and silence for what has no sound: a header and one frame. Nothing is encoded.

A channel element whose spectrum holds no band at all (max_sfb 0) is silence, whatever the sampling rate. ISO/IEC
14496-3: 1.6.2.1 AudioSpecificConfig; table 4.3 raw_data_block, 4.4 single_channel_element, 4.5 channel_pair_element,
4.6 ics_info, 4.50 individual_channel_stream; table 1.19 channel configurations. FLV: annex E.4.2.
"""

from streamferry.wire.bits import BitWriter

#: Samples of one frame.
FRAME_SAMPLES = 1024
#: By samplingFrequencyIndex (ISO/IEC 14496-3, table 1.18).
SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2
_SINGLE, _PAIR, _LOW_FREQUENCY, _END = 0, 1, 3, 7
_ELEMENTS = {
    1: (_SINGLE,),
    2: (_PAIR,),
    3: (_SINGLE, _PAIR),
    4: (_SINGLE, _PAIR, _SINGLE),
    5: (_SINGLE, _PAIR, _PAIR),
    6: (_SINGLE, _PAIR, _PAIR, _LOW_FREQUENCY),
    8: (_SINGLE, _PAIR, _PAIR, _PAIR, _LOW_FREQUENCY),
}
#: The sampling rates and channel counts there is silence for.
SILENT_RATES = frozenset(SAMPLE_RATES)
SILENT_CHANNELS = frozenset(_ELEMENTS)
_CONFIGURATION = {count: 7 if count == 8 else count for count in _ELEMENTS}
# AAC, and the bits that FLV sets for it whatever the sound is: 44 kHz, 16 bit, stereo.
_FLV_AAC = 0xAF


def silent_header(rate_hz: int, channels: int) -> bytes:
    """Body of the FLV tag with the AudioSpecificConfig. Raises ValueError and KeyError for what there is none for."""
    bits = BitWriter()
    bits.put(5, _LOW_COMPLEXITY)
    bits.put(4, SAMPLE_RATES.index(rate_hz))
    bits.put(4, _CONFIGURATION[channels])
    bits.put(3, 0)  # 1024 samples a frame, no core coder, no extension
    return bytes((_FLV_AAC, 0)) + bits.to_bytes()


def silent_frame(channels: int) -> bytes:
    """Body of the FLV tag with one frame of silence."""
    bits = BitWriter()
    count: dict[int, int] = {}
    for element in _ELEMENTS[channels]:
        bits.put(3, element)
        bits.put(4, count.setdefault(element, 0))
        count[element] += 1
        if element == _PAIR:
            bits.put(1, 1)  # common_window
            _put_window(bits)
            bits.put(2, 0)  # ms_mask_present
            _put_channel(bits)
            _put_channel(bits)
        else:
            bits.put(8, 0)  # global_gain
            _put_window(bits)
            bits.put(3, 0)
    bits.put(3, _END)
    return bytes((_FLV_AAC, 1)) + bits.to_bytes()


def _put_window(bits: BitWriter) -> None:
    """ics_info: one long sine window, no band."""
    bits.put(1 + 2 + 1 + 6 + 1, 0)


def _put_channel(bits: BitWriter) -> None:
    """global_gain, and neither pulses nor noise shaping nor gain control; without a band there is no more."""
    bits.put(8 + 3, 0)
