"""A clock without numbers: which time does it show, and which time will it be later?"""

import math
import random

from PIL import Image, ImageDraw

from percasym.errors import PercasymError
from percasym.puzzles import Credit, Puzzle, PuzzleConfig
from percasym.puzzles.reading import read_value

TIMES = {f"{time // 60 or 12}:{time % 60:02}": time for time in range(720)}
TEXTS = {time: text for text, time in TIMES.items()}


class ClockConfig(PuzzleConfig):
    later: int = 50  # minutes


class ClockPuzzle(Puzzle[int]):  # an instance is a time, in minutes since twelve
    name = "clock"
    Config = ClockConfig
    config: ClockConfig

    def generate(self, rng: random.Random) -> int:
        return rng.randrange(720)

    def render(self, instance: int, rng: random.Random, style: str | None = None) -> Image.Image:
        half = self.config.side / 2
        image = Image.new("RGB", (self.config.side, self.config.side), "white")
        for turns, length in ((instance / 720, 0.5), (instance / 60, 0.9)):
            x, y = math.sin(2 * math.pi * turns), math.cos(2 * math.pi * turns)
            tip = (half + length * half * x, half - length * half * y)
            ImageDraw.Draw(image).line([(half, half), tip], fill="black", width=2)
        return image

    def query(self, instance: int) -> str:
        return f"write the time then the time {self.config.later} minutes later as hours:minutes"

    def perception(self, instance: int) -> str:
        return TEXTS[instance]

    def read_perception(self, text: str, instance: int) -> int | None:
        return read_value(text, lambda value: TIMES.get(value) if isinstance(value, str) else None)

    def solve(self, instance: int) -> int:
        return (instance + self.config.later) % 720

    def answer(self, instance: int) -> str:
        return TEXTS[self.solve(instance)]

    def read_answer(self, text: str, instance: int) -> int | None:
        return self.read_perception(text, instance)  # a time as well

    def score_answer(self, instance: int, text: str) -> Credit:
        exact = self.read_answer(text, instance) == self.solve(instance)
        return Credit(exact, float(exact))

    def ground_truth(self, instance: int) -> str:
        return str(instance)

    def read_ground_truth(self, text: str) -> int:
        if not text.isdecimal():
            raise PercasymError(f"no minutes since twelve: {text!r}")
        return int(text)
