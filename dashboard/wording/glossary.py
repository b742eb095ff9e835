"""Terms of the field in a sentence each, for the tooltips beside them."""

from typing import Final

GLOSSARY: Final = {
    "backbone features": "What the convolutional part of the network makes of a photograph: 1,280 "
    "numbers from which its last layers read the action.",
    "bootstrap": "The metric is computed on a thousand random re-draws of the photographs, groups "
    "of near duplicates kept together; 95 % of the results lie within the interval.",
    "expected calibration error": "How far, on average, the confidence lies from the share of "
    "right answers. 0 is perfect: of the answers that are 80 % sure, 80 % are right.",
    "macro F1": "F1 balances precision and recall of one class; macro is its plain mean over "
    "classes, so that a rare action counts as much as a frequent one.",
    "near-duplicate group": "Photographs that show the same picture: copies, other sizes, crops, "
    "mirrored ones, frames of one burst. They count as one and stay in one split.",
    "normalised entropy": "How evenly the photographs are spread over the classes: 1 if all "
    "classes are equally large, 0 if there is only one.",
    "permutation test": "Were the two models equal, swapping their answers would change nothing. "
    "p is the share of random swaps, by near-duplicate group, that differ as much as they do.",
    "temperature": "A number that all of the model's logits are divided by. Above 1 it makes the "
    "model less sure, below 1 surer; which action comes first never changes.",
}
