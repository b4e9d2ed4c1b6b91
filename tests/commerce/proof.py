"""What `make prove DOMAIN=commerce` proves of this domain: the promises in its company, and the real trading days."""

from tests.commerce.days import prove_days as prove
from tests.commerce.world import Company as World

__all__ = ["World", "prove"]
