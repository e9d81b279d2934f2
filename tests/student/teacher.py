"""A real teacher, small: it says how likely its tokens were, as APIs of OpenAI's kind write it."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests.student.datasets import Lesson
from tests.student.students import CHATML

__all__ = ["ASKED", "Teacher"]

ASKED: dict[str, Any] = {
    "wire_format": "openai.chat",
    "temperature": 1.0,
    "wants_logprobs": True,
    "bent_by": [],
}
"""A request that leaves the distribution alone."""


class Teacher:
    """The model of a folder, asked for the log-probabilities of what it is taken to have said."""

    def __init__(self, folder: Path) -> None:
        model: Any = AutoModelForCausalLM
        self.model = model.from_pretrained(folder, dtype=torch.float64).eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    @torch.no_grad()
    def logprobs(self, question: str, answer: str, *, top: int) -> list[dict[str, Any]]:
        """An entry for each token of an answer to a question, with the `top` likeliest tokens."""
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            chat_template=CHATML,
            add_generation_prompt=True,
            tokenize=False,
        )
        before = self.tokenizer(prompt, add_special_tokens=False)["input_ids"]
        said = self.tokenizer(answer, add_special_tokens=False)["input_ids"]
        logits = self.model(torch.tensor([[*before, *said]])).logits[0, len(before) - 1 : -1]
        likely = logits.log_softmax(-1)
        return [
            {
                **self._entry(token, line[token]),
                "top_logprobs": [self._entry(int(i), line[i]) for i in line.topk(top).indices],
            }
            for token, line in zip(said, likely, strict=True)
        ]

    def lesson(self, question: str, answer: str, *, top: int = 5, **asked: Any) -> Lesson:
        """A lesson of which the teacher told its likeliest tokens."""
        told: Any = self.logprobs(question, answer, top=top)
        return Lesson(
            prompt=(("user", question),),
            answers=(answer,),
            logprobs=(told,),
            asked={**ASKED, **asked},
        )

    def _entry(self, token: int, logprob: torch.Tensor) -> dict[str, Any]:
        text = str(self.tokenizer.convert_ids_to_tokens(token))
        letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
        spelled = [letters[letter] for letter in text] if len(text) == 1 else list(text.encode())
        return {"token": text, "bytes": spelled, "logprob": float(logprob)}
