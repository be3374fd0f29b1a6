"""Measurements of the portal against limits of the same machine; `python -m benchmarks` prints JSON.

Whatever is compared runs interleaved in one call, and processor time counts more than the clock: machines are noisy.
Nothing of the portal is switched off for a measurement, and no setting exists for that; where a target compares with
and without the audit record (`sends.py`), the writer is replaced in a serving process of the benchmark itself.
"""
