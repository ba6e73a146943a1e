"""How long properties may take: a busy machine is no reason to fail. `--hypothesis-profile=deep` looks longer."""

from hypothesis import settings

settings.register_profile("usual", deadline=None)
settings.register_profile("deep", deadline=None, max_examples=3_000)
settings.load_profile("usual")
