"""For tokenizers without a newline, as miniatures have: verl's plain way of putting turns together.

verl's way for Qwen looks the newline up that ends a turn, and stops where there is none. A response here is
one turn, so nothing is ever put together.
"""

from verl.utils.tokenizer import continuous_token_wiring as wiring

wiring._MODEL_TYPE_TO_FAMILY.clear()
