"""Layers that compute what Keras' own do, written so that a compiler can fuse them.

Grouped convolutions are slow wherever no library has a kernel for them (XLA on a CPU or a GPU, in
bfloat16); as nine shifted multiply-adds they are a single fused pass over memory.
"""

from functools import cache
from typing import Any, Final

# Cells of a sequence that one round of the compiled loop reads: a row of the 7×7 map.
_UNROLLED: Final = 7


@cache
def fast_layers() -> dict[type, type]:
    """Return the layer that stands in for each of Keras' own."""
    import keras
    from keras import ops

    class PointwiseConv2D(keras.layers.Conv2D):
        """A 1×1 convolution of stride 1 as a matrix product."""

        def call(self, inputs: Any) -> Any:
            outputs = ops.matmul(inputs, self.kernel[0, 0])
            return outputs + self.bias if self.use_bias else outputs

    class ShiftedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
        """A depthwise convolution as a sum of shifted products; the stride may be any."""

        def call(self, inputs: Any) -> Any:
            outputs = self.convolve(inputs, self.kernel[..., 0])
            return outputs + self.bias if self.use_bias else outputs

        def convolve(self, inputs: Any, kernel: Any) -> Any:
            rows, columns = self.kernel_size
            (row_stride, column_stride) = self.strides
            height, width = inputs.shape[1], inputs.shape[2]
            top, bottom = self._padding_of(height, rows, row_stride)
            left, right = self._padding_of(width, columns, column_stride)
            padded = ops.pad(inputs, ((0, 0), (top, bottom), (left, right), (0, 0)))
            height = (height + top + bottom - rows) // row_stride + 1
            width = (width + left + right - columns) // column_stride + 1
            total = None
            for i in range(rows):
                for j in range(columns):
                    shifted = padded[
                        :,
                        i : i + (height - 1) * row_stride + 1 : row_stride,
                        j : j + (width - 1) * column_stride + 1 : column_stride,
                    ]
                    product = ops.cast(shifted, "float32") * ops.cast(kernel[i, j], "float32")
                    total = product if total is None else total + product
            return ops.cast(total, self.compute_dtype)

        def compute_output_spec(self, inputs: Any) -> Any:
            shape = self.compute_output_shape(inputs.shape)
            return keras.KerasTensor(shape, dtype=self.compute_dtype)

        def _padding_of(self, length: int, kernel: int, stride: int) -> tuple[int, int]:
            if self.padding == "valid":
                return 0, 0
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            return total // 2, total - total // 2

    class ScannedLSTM(keras.layers.LSTM):
        """An LSTM whose input products are one matrix product before the loop over the sequence."""

        def call(
            self,
            sequences: Any,
            initial_state: Any = None,
            mask: Any = None,
            training: bool = False,
        ) -> Any:
            cell = self.cell
            recurrent = ops.convert_to_tensor(cell.recurrent_kernel)
            inputs = ops.matmul(sequences, ops.cast(cell.kernel, sequences.dtype))
            inputs = ops.transpose(ops.cast(inputs, "float32") + cell.bias, (1, 0, 2))

            def advance(state: Any, projected: Any) -> Any:
                hidden, carry = state
                gates = projected + ops.matmul(hidden, recurrent)
                take, forget, new, give = ops.split(gates, 4, axis=1)
                carry = ops.sigmoid(forget) * carry + ops.sigmoid(take) * ops.tanh(new)
                return (ops.sigmoid(give) * ops.tanh(carry), carry), None

            start = ops.zeros_like(inputs[0, :, : self.units])
            (hidden, _), _ = ops.scan(advance, (start, start), inputs, unroll=_UNROLLED)
            return hidden

        def compute_output_spec(
            self,
            sequences: Any,
            initial_state: Any = None,
            mask: Any = None,
            training: bool = False,
        ) -> Any:
            return keras.KerasTensor((sequences.shape[0], self.units), dtype=self.compute_dtype)

    return {
        keras.layers.Conv2D: PointwiseConv2D,
        keras.layers.DepthwiseConv2D: ShiftedDepthwiseConv2D,
        keras.layers.LSTM: ScannedLSTM,
    }
