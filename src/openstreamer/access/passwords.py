"""Password hashes: argon2id (RFC 9106) made here, bcrypt accepted from the Go server's configuration.

Both cost tens of milliseconds of CPU on purpose: never call them on the event loop.
"""

import bcrypt
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

MAX_PASSWORD_BYTES = 1024  # nobody types more; a megabyte password must not become work
MAX_ARGON2_MEMORY_KIB = 1 << 20  # 1 GiB: a hash from elsewhere must not take the machine's memory
MAX_ARGON2_TIME_COST = 64
MAX_BCRYPT_COST = 16  # about 5 s on the development machine; 31 would take two days

_hasher = PasswordHasher()  # the library's defaults are RFC 9106's low-memory profile: 64 MiB, 3 passes


def hash_password(password: str) -> str:
    """An argon2id hash in PHC form."""
    return _hasher.hash(password)


def verify_password(password: str, password_hash: str) -> bool:
    """Whether ``password`` made ``password_hash``. A hash of an unknown kind matches nothing."""
    secret = password.encode("utf-8", "surrogatepass")
    if len(secret) > MAX_PASSWORD_BYTES:
        return False
    if password_hash.startswith("$argon2"):
        return _verify_argon2(secret, password_hash)
    if password_hash.startswith(("$2a$", "$2b$", "$2x$", "$2y$")):
        return _verify_bcrypt(secret, password_hash)
    return False


def _verify_argon2(secret: bytes, password_hash: str) -> bool:
    try:
        cost = extract_parameters(password_hash)
        if cost.memory_cost > MAX_ARGON2_MEMORY_KIB or cost.time_cost > MAX_ARGON2_TIME_COST:
            return False
        return _hasher.verify(password_hash, secret)
    except (InvalidHashError, VerificationError):
        return False


def _verify_bcrypt(secret: bytes, password_hash: str) -> bool:
    cost = password_hash[4:6]
    if not cost.isdecimal() or int(cost) > MAX_BCRYPT_COST:
        return False
    try:
        return bcrypt.checkpw(secret, password_hash.encode())
    except ValueError:  # a broken salt, or a password above bcrypt's 72 bytes
        return False
