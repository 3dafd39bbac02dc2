"""Files that are ours alone: 0600 whatever the umask, in places where nobody can swap them.

Who may write in a folder may put a link, or a file of their own, where ours is looked for: the
database's journal, its lock, a key. So a place is judged with every folder and link on the way.
"""

import os
import pwd
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.errors import LatchkeyError

PRIVATE = 0o600
OTHERS_WRITE = 0o022
LINKS = 40  # on one way; as many as Linux follows
# What SQLite and we keep for one database.
BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".turn")
SQLITE = b"SQLite format 3\0"  # how each database begins: sqlite.org/fileformat2.html
READ_AND_MAKE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafePlaceError(LatchkeyError):
    """Others could read, write or swap what is kept there. The text says what, and the cure."""


def exposed(place: Path) -> str:
    """Return how somebody else could change what is there, with the cure; empty: nobody can.

    Besides us only root is trusted. On the way a folder for all, such as /tmp, is in order where
    its sticky bit keeps each one's own entries; at the end it is not: others may plant new ones.
    What is not there yet cannot be at fault.
    """
    here, rest, links = Path("/"), list(place.absolute().parts[1:]), 0
    way, ends = [here], list[Path]()
    while rest:
        name = rest.pop(0)
        if name == "..":
            here = here.parent
            continue
        at = here / name
        try:
            found = at.lstat()
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as fault:
            return f"{at} cannot be looked at: {fault.strerror}."
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > LINKS:
                return f"{place} is a link that leads nowhere."
            if not _trusted(found):
                return f"{at} is a link that {_who(found)} has made: remove it."
            target = at.readlink()
            rest = [part for part in target.parts if part != "/"] + rest
            here = Path("/") if target.is_absolute() else here
            continue
        here = at
        way.append(here)
    else:
        ends = [here] if here.is_dir() else [here.parent, here]
    faults = (_open_to_others(part, last=part in ends) for part in [*way, *ends])
    return next(filter(None, faults), "")


def exposed_inside(folder: Path, names: Iterable[str]) -> str:
    """Return how somebody else could change one of these in the folder; empty: nobody can.

    Where it is mounted read-only, as volumes of containers are, its modes give nobody anything.
    """
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return ""
    inside = [folder / name for name in names]
    places = dict.fromkeys([folder, *(file.parent for file in inside), *inside])
    return next(filter(None, map(exposed, places)), "")


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder that is ours, with those above it. Raises UnsafePlaceError.

    One that is there is used only if nobody else can write in it.
    """
    _need_safe(folder)  # before anything is made, maybe through somebody's link
    for part in [*reversed(folder.absolute().parents), folder.absolute()]:
        try:
            part.mkdir(mode)
        except FileExistsError:
            continue
        except OSError as why:
            raise UnsafePlaceError(f"{part} cannot be made: {why.strerror}.") from None
        part.chmod(mode)  # whatever the umask
    if not folder.is_dir():
        raise UnsafePlaceError(f"{folder} is no folder.")
    _need_safe(folder)


def open_own(file: Path, flags: int = READ_AND_MAKE) -> int:
    """Open a file that is ours alone, and make it if `flags` say so. Raises UnsafePlaceError.

    Never through a link, nor one that has a second name, which could be another file of ours.
    """
    return _open_of(file, flags, {os.geteuid()})


def _open_of(file: Path, flags: int, owners: Collection[int]) -> int:
    try:
        descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK, PRIVATE)
    except OSError as refused:
        why = "it is a link" if file.is_symlink() else refused.strerror
        raise UnsafePlaceError(
            f"{file} cannot be opened: {why}. It has to be a file of the user that Latchkey runs "
            "as: give it to that user."
        ) from None
    found = os.fstat(descriptor)
    if fault := _no_file_of(owners, found):
        os.close(descriptor)
        raise UnsafePlaceError(
            f"{file} {fault}. Run Latchkey as the user whose files these are; never remove what a "
            "Latchkey that runs may hold locked."
        )
    if stat.S_IMODE(found.st_mode) != PRIVATE:
        os.fchmod(descriptor, PRIVATE)
    return descriptor


def open_beside(database: Path, suffix: str) -> int:
    """Open a file that stands beside a database, and make it. Raises UnsafePlaceError.

    It belongs to whom the database belongs to, although it may be root who needs it first, or
    finds it there: root looks after the database of a service.
    """
    file = Path(f"{database}{suffix}")
    owner = database.stat()
    if os.geteuid() or not owner.st_uid:
        return open_own(file)
    with suppress(FileExistsError):  # made by nobody else meanwhile, it is ours to give
        made = os.open(file, READ_AND_MAKE | os.O_EXCL, PRIVATE)
        os.fchown(made, owner.st_uid, owner.st_gid)
        return made
    return _open_of(file, READ_AND_MAKE, {0, owner.st_uid})


def append(file: Path) -> IO[bytes]:
    """Open a log, to write at its end. Raises UnsafePlaceError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return os.fdopen(open_own(file, flags), "ab")


def create(file: Path, text: str) -> None:
    """Make a file that is not there yet. Raises FileExistsError, whatever it is that is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(file, flags, PRIVATE), "w", encoding="utf-8") as made:
        os.fchmod(made.fileno(), PRIVATE)
        made.write(text)


def replace(file: Path, text: str) -> None:
    """Write a file in one step: whoever reads never finds half of it."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    create(draft, text)
    draft.replace(file)


def make_private(database: str) -> Path | None:
    """Make SQLite's file before SQLite does, and narrow what is there. Raises UnsafePlaceError.

    SQLite gives the files beside it the same mode. A new database is made only where nobody else
    can write; one that is there is used, and `exposed` says what is wrong with its place. Return
    where the file really is; None where it is in memory.
    """
    if database in {"", ":memory:"}:
        return None
    named = Path(database)
    file = Path(os.path.realpath(named))
    fault = exposed(named.absolute().parent) or exposed(file.parent)
    try:
        if not file.exists() or not file.stat().st_size:
            _make_new(file, fault)
        _need_ours(file, exposed=bool(fault), linked=named.is_symlink())
        _need_database(file)
    except OSError as why:
        raise UnsafePlaceError(f"The database {file} cannot be used: {why.strerror}.") from None
    for beside in BESIDE:
        _narrow(Path(f"{file}{beside}"))
    return file


def _make_new(file: Path, fault: str) -> None:
    if fault:
        raise UnsafePlaceError(
            f"No database is made in {file.parent}. {fault} Or choose another folder in "
            "LATCHKEY_DATABASE_URL."
        )
    try:
        create(file, "")
    except FileExistsError:
        return  # another process was quicker
    except FileNotFoundError:
        if file.parent.is_dir():
            raise UnsafePlaceError(
                f"No file can be made in {file.parent}: choose another folder in "
                "LATCHKEY_DATABASE_URL."
            ) from None
        cure = f"mkdir -m 700 {file.parent}"
        raise UnsafePlaceError(f"There is no folder for the database {file}: {cure}") from None


def _need_ours(file: Path, *, exposed: bool, linked: bool) -> None:
    """Refuse a database that somebody else may have put there."""
    if file.is_dir():
        raise UnsafePlaceError(f"{file} is a folder: name a file in it in LATCHKEY_DATABASE_URL.")
    found = file.lstat()
    owners = {0, os.geteuid()}
    if os.geteuid() == 0:  # root looks after the database of a service
        owners.add(file.parent.stat().st_uid)
    planted = found.st_uid not in owners or (exposed and (linked or found.st_nlink > 1))
    if planted or not stat.S_ISREG(found.st_mode):
        raise UnsafePlaceError(
            f"{file} may have been put there by somebody else: it belongs to {_who(found)}, or it "
            "is no plain file. Remove it, or choose another place in LATCHKEY_DATABASE_URL."
        )


def _need_database(file: Path) -> None:
    """Refuse a file that is no database, before its mode is changed."""
    if not _is_wide(file):
        return  # SQLite itself says what is wrong with it, and nothing has changed
    with file.open("rb") as opened:
        begins = opened.read(len(SQLITE))
    if begins not in {b"", SQLITE}:
        raise UnsafePlaceError(
            f"{file} is no database of SQLite, and stays as it is: name another file in "
            "LATCHKEY_DATABASE_URL."
        )


def _is_wide(file: Path) -> bool:
    """Tell whether it is our file, and others may do something with it."""
    found = file.lstat()
    ours = found.st_uid == os.geteuid() and stat.S_ISREG(found.st_mode)
    return ours and bool(found.st_mode & 0o177)


def _narrow(file: Path) -> None:
    """Take the file away from others, if it is ours.

    It is opened only if it has to be: to close any descriptor of a file gives up all the locks that
    SQLite holds on it in this process.
    """
    with suppress(OSError):
        if _is_wide(file):
            with suppress(UnsafePlaceError):
                os.close(open_own(file, os.O_RDONLY | os.O_CLOEXEC))


def _need_safe(folder: Path) -> None:
    if fault := exposed(folder):
        raise UnsafePlaceError(f"{folder} is not used. {fault} Or choose another place.")


def _no_file_of(owners: Collection[int], found: os.stat_result) -> str:
    if not stat.S_ISREG(found.st_mode):
        return "is no file"
    if found.st_uid not in owners:
        return f"belongs to {_who(found)}"
    return "has another name, which may be another file" if found.st_nlink > 1 else ""


def _open_to_others(part: Path, *, last: bool) -> str:
    try:
        found = part.stat(follow_symlinks=False)
    except OSError as fault:
        return f"{part} cannot be looked at: {fault.strerror}."
    if not _trusted(found):
        return f"{part} belongs to {_who(found)}, who can change what is there."
    # The group's bit also stands for whoever an access list names.
    if found.st_mode & OTHERS_WRITE and (last or not found.st_mode & stat.S_ISVTX):
        return f"Others can write to {part}: chmod go-w {part}"
    return ""


def _trusted(found: os.stat_result) -> bool:
    return found.st_uid in {0, os.geteuid()}


def _who(found: os.stat_result) -> str:
    try:
        return f"user {pwd.getpwuid(found.st_uid).pw_name}"
    except KeyError:
        return f"user {found.st_uid}"
