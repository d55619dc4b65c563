"""The licences of what is in the images, and of what applications install."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from test_images import locked, wanted

from tests.conftest import CHECKOUT, missing

PAGE = (CHECKOUT / "docs" / "licences.md").read_text()

#: The lock of each image; RVC's holds all of its image.
LOCKS = {"GPU": "rvc", "CPU": "cpu"}

#: Packages of the page, each with its licence and its images.
TOLD = {
    name: (licence, image)
    for name, licence, image in re.findall(
        r"^\| `([\w.-]+)` \| ([^|]+) \| (GPU|CPU|both) \|", PAGE, re.MULTILINE
    )
}

#: What a permissive licence is called, in the many ways of metadata.
PERMISSIVE = re.compile(
    r"\b(MIT(-0|-CMU)?|0?BSD|ISC|Apache|PSF-2\.0|Python Software Foundation|Zlib|CC0-1\.0|CNRI)\b"
)
#: What asks for something in return.
DEMANDING = re.compile(r"GPL|General Public|MPL|Mozilla|EUPL|SSPL|[Pp]roprietary|NVIDIA")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


PACKAGES = {image: {plain(name) for name in locked(lock)} for image, lock in LOCKS.items()}


def licence(package: str) -> str:
    """What the metadata of an installed package say, on one line; "" if nothing."""
    told = metadata.metadata(package)
    classifiers = [line for line in told.get_all("Classifier") or () if line[:7] == "License"]
    first = (told.get("License") or "").strip().partition("\n")[0]
    return "; ".join(filter(None, [told.get("License-Expression"), first, *classifiers]))


def asks_for_something(package: str) -> bool:
    """True unless a package tells that its licence is permissive and nothing else."""
    told = licence(package)
    return not PERMISSIVE.search(told) or bool(DEMANDING.search(told))


def installed(package: str) -> bool:
    try:
        metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_the_lock_of_rvc_holds_all_of_the_gpu_image():
    assert {*locked("torch"), *locked("worker")} <= set(locked("rvc"))


def test_every_package_is_permissive_or_on_the_page():
    unknown = [name for name in set.union(*PACKAGES.values()) if name not in TOLD]
    if absent := [name for name in unknown if not installed(name)]:
        missing(", ".join(sorted(absent)))

    assert [name for name in sorted(unknown) if asks_for_something(name)] == []


@pytest.mark.parametrize("name", TOLD)
def test_a_package_on_the_page_is_in_the_images_that_it_names(name):
    images = {image for image, packages in PACKAGES.items() if name in packages}

    assert {"GPU": {"GPU"}, "CPU": {"CPU"}, "both": {"GPU", "CPU"}}[TOLD[name][1]] == images


@pytest.mark.parametrize("name", [name for name in TOLD if installed(name) and licence(name)])
def test_a_package_on_the_page_has_the_licence_that_it_tells(name):
    family = re.match(r"L?GPL|[A-Z]\w*?(?=-|$| )", TOLD[name][0].removeprefix("LicenseRef-"))[0]

    assert family.lower() in licence(name).lower()


def test_what_applications_install_asks_for_nothing():
    closure, waiting = set[str](), [requirement.name for requirement in wanted()]
    while waiting:
        name = plain(waiting.pop())
        if name in closure:
            continue
        closure.add(name)
        needed = map(Requirement, metadata.requires(name) or ())
        waiting += [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]

    assert len(closure) > 10
    assert [name for name in sorted(closure) if asks_for_something(name)] == []
