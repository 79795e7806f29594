"""From the store to the rules of the gate: users of both tables, trusted proxies, CORS."""

from openstreamer.access.addresses import parse_networks
from openstreamer.access.admin import AccessRules
from openstreamer.access.users import Role, User
from openstreamer.control.cors import CorsRules
from openstreamer.store.store import Store


class RulesLoader:
    """Reads :class:`AccessRules`; ``cors`` is what the last reading said."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.cors = CorsRules()

    async def __call__(self) -> AccessRules:
        config = await self._store.global_config()
        self.cors = CorsRules(config.server.cors)
        users: dict[str, User] = {}
        if config.auth.api.enabled is not False:  # unset: on as soon as a user exists
            for configured in config.auth.api.users:
                users[configured.username] = User(
                    configured.username, configured.password_hash, Role(configured.role)
                )
            for stored in await self._store.list_users():  # the command line's: they win
                users[stored.name] = User(stored.name, stored.password_hash, Role(stored.role))
        return AccessRules(users, parse_networks(config.server.trusted_proxies), self.cors.allowed_origins)
