"""Attention of texts that lie one after another, without padding: group by group of equal lengths.

PyTorch's own kernel for the CPU (``scaled_dot_product_attention``) works on one head of one text at
a time, which is slow for texts as short as passages. In bfloat16 it is 2 to 4 times as fast to
multiply all heads of a group at once and to have oneDNN compute the softmax between the products,
in slices that stay in the cache.

A GPU has a kernel for texts of any lengths (``varlen_attn``), which takes the place of the groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_SCORES_AT_ONCE = 1 << 19  # of one slice; 1 MiB in bfloat16
_KERNEL_WIDTHS = range(8, 257, 8)  # of a head, for the GPU's kernel


@dataclass(frozen=True, slots=True)
class Group:
    """Texts of the same length that follow each other.

    Attributes:
        first_text: Place of the first one among the texts.
        first_token: Place of its first token among the tokens.
        num_texts: How many they are.
        length: Tokens of each.
    """

    first_text: int
    first_token: int
    num_texts: int
    length: int

    @property
    def tokens(self) -> slice:
        """Where their tokens are."""
        return slice(self.first_token, self.first_token + self.num_texts * self.length)

    @property
    def texts(self) -> slice:
        """Where they are among the texts."""
        return slice(self.first_text, self.first_text + self.num_texts)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where texts are among the tokens, which lie one after another.

    Attributes:
        groups: The runs of texts of equal length.
        starts: Where each text's first token is, shape (n,), int64.
        offsets: The same and where the last text ends, shape (n + 1,), int32.
        longest: Tokens of the longest text.
    """

    groups: list[Group]
    starts: Tensor
    offsets: Tensor
    longest: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "Layout":
        """Lay out texts of these lengths, each at least 1."""
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        return cls(find_groups(lengths), offsets[:-1], offsets.int(), max(lengths))

    def to(self, device: torch.device) -> "Layout":
        """Put the tensors on a device."""
        starts, offsets = send(self.starts, device), send(self.offsets, device)
        return Layout(self.groups, starts, offsets, self.longest)


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU's to a device; to a GPU without waiting for what it computes."""
    if device.type != "cuda":  # elsewhere the source might be gone before it was copied
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def find_groups(lengths: Sequence[int]) -> list[Group]:
    """Find the runs of equal lengths; texts that were sorted by length have the fewest.

    Args:
        lengths: Tokens of each text.
    """
    groups: list[Group] = []
    first_text = first_token = 0
    for text in range(1, len(lengths) + 1):
        if text == len(lengths) or lengths[text] != lengths[first_text]:
            group = Group(first_text, first_token, text - first_text, lengths[first_text])
            groups.append(group)
            first_text, first_token = text, group.tokens.stop
    return groups


def find_scale(device_type: str, width: int) -> float:
    """Give what ``attend`` wants queries multiplied by.

    Args:
        device_type: ``cpu``, or ``cuda``, whose kernels do it themselves.
        width: Of a head.
    """
    return width**-0.5 if device_type == "cpu" else 1.0


def attend(queries: Tensor, keys_values: Tensor, layout: Layout, *, num_heads: int) -> Tensor:
    """Let tokens attend to the tokens of their own text.

    Args:
        queries: Shape (t, h) for all tokens, or (n, h) for the first token of each text; already
            multiplied by ``find_scale``.
        keys_values: Shape (t, 2 h), keys at the left.
        layout: Where the texts are.
        num_heads: How many parts h falls into.

    Returns:
        Of the shape and type of ``queries``.
    """
    width = queries.shape[1] // num_heads
    if width in _KERNEL_WIDTHS and can_attend_to_any_lengths(queries.device):
        return _attend_to_any_lengths(queries, keys_values, layout, num_heads)
    result = torch.empty_like(queries)
    is_whole = len(queries) == len(keys_values)
    multiplies = queries.dtype == torch.bfloat16 and has_fast_softmax(queries.device.type)
    scale = 1.0 if queries.device.type == "cpu" else None
    for group in layout.groups:
        place = group.tokens if is_whole else group.texts
        asking = queries[place].view(group.num_texts, -1, num_heads, width).transpose(1, 2)
        both = keys_values[group.tokens].view(group.num_texts, group.length, 2, num_heads, width)
        keys, values = (part.transpose(1, 2) for part in both.unbind(2))
        found = (
            _attend_by_products(asking, keys, values)
            if multiplies
            else functional.scaled_dot_product_attention(asking, keys, values, scale=scale)
        )
        result[place].view(group.num_texts, -1, num_heads, width).copy_(found.transpose(1, 2))
    return result


def _attend_to_any_lengths(
    queries: Tensor, keys_values: Tensor, layout: Layout, num_heads: int
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    keys, values = keys_values.view(len(keys_values), 2, num_heads, -1).unbind(1)
    offsets, longest = layout.offsets, layout.longest
    if len(queries) != len(keys_values):
        offsets = torch.arange(len(queries) + 1, dtype=torch.int32, device=queries.device)
        longest = 1
    asking = queries.view(len(queries), num_heads, -1)
    found = varlen_attn(asking, keys, values, offsets, layout.offsets, longest, layout.longest)
    assert isinstance(found, Tensor)
    return found.reshape(queries.shape)


@cache
def can_attend_to_any_lengths(device: torch.device) -> bool:
    """Say whether the device and this PyTorch have a kernel for texts of any lengths that is right.

    It is a prototype of PyTorch's, so it is tried on a few texts first.

    Args:
        device: No CPU has one.
    """
    if device.type != "cuda":
        return False
    generator = torch.Generator().manual_seed(0)
    lengths, num_heads, width = [3, 3, 17, 1], 2, 32
    num_tokens = sum(lengths)
    queries, both = (
        torch.randn(num_tokens, wide, generator=generator).to(device, torch.bfloat16)
        for wide in (num_heads * width, 2 * num_heads * width)
    )
    layout = Layout.of(lengths).to(device)
    try:
        found = _attend_to_any_lengths(queries, both, layout, num_heads)
    except (ImportError, RuntimeError, TypeError, AttributeError):
        return False
    parts = []
    for start, length in zip(layout.starts.tolist(), lengths, strict=True):
        own = slice(start, start + length)
        asking = queries[own].float().view(length, num_heads, width).transpose(0, 1)
        keys, values = both[own].float().view(length, 2, num_heads, width).unbind(1)
        weights = torch.softmax(asking @ keys.permute(1, 2, 0) * width**-0.5, dim=-1)
        parts.append((weights @ values.transpose(0, 1)).transpose(0, 1).reshape(length, -1))
    return torch.allclose(found.float(), torch.cat(parts), rtol=0.02, atol=0.02)


def _attend_by_products(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend in slices of a few texts; all of shape (n, heads, tokens, width)."""
    num_texts, num_heads, num_queries, width = queries.shape
    num_keys = keys.shape[2]
    step = max(1, _SCORES_AT_ONCE // (num_heads * num_queries * num_keys))
    found = []
    for start in range(0, num_texts, step):
        asking, offered, given = (
            part[start : start + step].reshape(-1, part.shape[2], width)
            for part in (queries, keys, values)
        )
        weights = _softmax(torch.bmm(asking, offered.transpose(1, 2)))
        found.append(torch.bmm(weights, given).view(-1, num_heads, num_queries, width))
    return found[0] if len(found) == 1 else torch.cat(found)


def _softmax(scores: Tensor) -> Tensor:
    """Turn scores into weights along the last axis, in oneDNN, which keeps float32 in between."""
    return torch.softmax(scores.to_mkldnn(), dim=-1).to_dense()


@cache
def has_fast_softmax(device_type: str) -> bool:
    """Say whether oneDNN computes a softmax of bfloat16 here, and rightly.

    Args:
        device_type: ``cpu``; nothing else has it.
    """
    if device_type != "cpu":
        return False
    scores = torch.linspace(-30, 30, 3 * 5 * 7).view(3, 5, 7).bfloat16()
    try:
        found = _softmax(scores)
    except (RuntimeError, AttributeError):
        return False
    return torch.allclose(found.float(), torch.softmax(scores.float(), -1), rtol=0.01, atol=1e-3)
