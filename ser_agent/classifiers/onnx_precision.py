"""What a model in ONNX Runtime computes in."""

from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["int8", "float32"]
"""Of most matrices; everything else is float32."""
