"""The settings of `publish stripe`. The key comes from the environment only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from core.errors import ConfigurationError
from core.options import Flag
from core.settings import FileSettings, check_header_key, checked_address
from publish.settings import checked_month

DEFAULT_BASE = "https://api.stripe.com"
_LIVE = ("sk_live_", "rk_live_")


class StripeSettings(FileSettings):
    """What `publish stripe` needs. A key is needed only to send."""

    period: Annotated[str, Flag("--period", "YYYY-MM")] = Field(
        "", description="The closed billing period. Required.", validate_default=True
    )
    stripe_key: SecretStr | None = Field(None, validation_alias="STRIPE_API_KEY")
    stripe_base: str = Field(DEFAULT_BASE, validation_alias="STRIPE_API_BASE")

    @field_validator("period")
    @classmethod
    def _check_period(cls, given: str) -> str:
        return checked_month(given)

    @field_validator("stripe_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        """Refuse a key that cannot stand in a header; an empty one is none."""
        if key is None or not key.get_secret_value():
            return None
        check_header_key(key, "STRIPE_API_KEY")
        return key

    @field_validator("stripe_base")
    @classmethod
    def _check_base(cls, given: str) -> str:
        return checked_address(given, "STRIPE_API_BASE", DEFAULT_BASE, key_variable="STRIPE_API_KEY")

    @property
    def key(self) -> str:
        """The key. Raises `ConfigurationError` if there is none."""
        if self.stripe_key is None:
            raise ConfigurationError("STRIPE_API_KEY is not set: export a key of your Stripe account in it")
        return self.stripe_key.get_secret_value()

    @property
    def is_live(self) -> bool:
        """Whether the key is one that moves real money."""
        return self.stripe_key is not None and self.stripe_key.get_secret_value().startswith(_LIVE)
