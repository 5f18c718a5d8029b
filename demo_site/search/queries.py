"""Searches that the page offers and the checks try, each with the theme of what should come first."""

from __future__ import annotations

EXAMPLES = {
    "how do I stop a dripping tap": "Around the house",
    "I can't sleep": "Body and health",
    "planets with rings": "Space",
    "learning an instrument": "Music and art",
    "keep my account safe": "Computers",
}
"""What a visitor can click on; the first one is asked when the page opens."""

MORE = {
    "remove a red stain from cloth": "Around the house",
    "dessert recipes": "Kitchen",
    "my plants look sad": "Garden",
    "nosebleed": "Body and health",
    "someone stole from me": "Money",
    "losing luggage": "Travel",
    "creatures of the deep sea": "Animals",
    "how far away is lightning": "Weather and nature",
    "we made up again": "Family and friends",
    "feeling lonely": "Family and friends",
}
"""Others that are checked."""
