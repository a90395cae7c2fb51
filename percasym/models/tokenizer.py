"""A word-level tokenizer for miniature models: one token a word, with single characters to fall back on."""

import string
from collections.abc import Iterable, Mapping

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerFast

PAD = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
UNKNOWN = "<|unknown|>"

# Ordinary tokens on purpose: decoding without special tokens, which every engine does, must keep them.
TAGS = ("<caption>", "</caption>", "<answer>", "</answer>")

# Words that the chat template writes.
ROLES = ("system", "user", "assistant")

# Marks a piece that goes on without a space. Not ASCII, so that no ordinary text is mistaken for it.
CONTINUED = "‿"

LONGEST_WORD = 100


def word_tokenizer(words: Iterable[str], vision_tokens: Mapping[str, str]) -> PreTrainedTokenizerFast:
    """A fast tokenizer in which every one of `words` is a single token.

    Text is split at white space, which decoding does not bring back: words are joined by single spaces. The
    four tags of a response are single tokens wherever they stand, also glued to a word. A word that is not
    known becomes its longest known beginning, then single characters. So any printable ASCII text of words
    of up to 100 characters comes back unchanged, but for its white space. A longer word, or one with other
    characters, becomes the unknown token.

    Args:
        words: in any order, repeated or not; token numbers depend only on the set of words.
        vision_tokens: the special tokens of the architecture, by the name under which its processor looks for
            them, for example {"image_token": "<|image_pad|>"}.

    Raises:
        ValueError: a word that holds white space, or nothing.
    """
    known = sorted(set(words) | set(ROLES))
    for word in known:
        if word.split() != [word]:
            raise ValueError(f"{word!r} is not one word")
    special = [PAD, TURN_START, TURN_END, UNKNOWN, *vision_tokens.values()]
    characters = [character for character in string.printable if not character.isspace()]
    pieces = [*special, *TAGS, *characters, *(CONTINUED + character for character in characters), *known]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}

    tokenizer = Tokenizer(
        WordPiece(
            vocabulary,
            unk_token=UNKNOWN,
            continuing_subword_prefix=CONTINUED,
            max_input_chars_per_word=LONGEST_WORD,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix=CONTINUED, cleanup=False)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=TURN_END,
        unk_token=UNKNOWN,
        extra_special_tokens=dict(vision_tokens),
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
