# SPDX-License-Identifier: Apache-2.0
"""Random ways to name an image: plain, with a protocol, as a tree in json: or
in --image-opts, right or with something odd in it."""

import json

FORMATS = ("raw", "qcow2", "luks", "vmdk", "vdi", "vpc", "vhdx", "qed", "qcow", "parallels")

# What tests/diff/argv_images.sh makes, with its format.
IMAGES = {
    "a.raw": "raw",
    "short.raw": "raw",
    "a.qcow2": "qcow2",
    "base.qcow2": "qcow2",
    "over.qcow2": "qcow2",
    "snap.qcow2": "qcow2",
    "leak.qcow2": "qcow2",
    "orphan.qcow2": "qcow2",
    "data.qcow2": "qcow2",
    "enc.qcow2": "qcow2",
    "v2.qcow2": "qcow2",
    "a.luks": "luks",
    "a.vmdk": "vmdk",
    "a.vdi": "vdi",
    "a.vpc": "vpc",
    "a.vhdx": "vhdx",
    "a.qed": "qed",
    "a.qcow": "qcow",
    "a.parallels": "parallels",
}
LOCKED = ("enc.qcow2", "a.luks")
OTHERS = ("empty", "junk", "dir", "nosuch", "dangling", "", "blk", "comma,name", "data.raw", "co:lon", "noperm", "nodir/x")


def pick(r, table):
    return table[r.randrange(len(table))]


def chance(r, p):
    return r.random() < p


def image(r):
    names = sorted(IMAGES)
    return pick(r, names) if chance(r, 0.9) else pick(r, OTHERS)


def plain(r):
    return image(r)


def spelled(r, name):
    """A file's name on the command line, mostly as it is."""
    if chance(r, 0.78):
        return name
    if chance(r, 0.2):
        return odd(r)
    if chance(r, 0.2):
        return pick(r, ("./" + name, "file:" + name, "dir/../" + name, "file:./" + name, ".//" + name))
    return json_name(r, name)


def odd(r):
    return pick(
        r,
        (
            "nosuch", "", "dir", "nodir/x", "file:", "file:nosuch", "x:y", "json:", "json:{}", "json:{", "json:[]", "json:1",
            "json:{'driver':'raw'}", "json:{'driver':'nosuch'}", "json:{'file':'x'}", "json:{'driver':'file'}", "JSON:{}",
            "null-co://", "null-co:", "null-aio://", "blkdebug::a.raw", "blkdebug:nosuch:a.raw", "blkverify:a.raw:a.qcow2",
            "host_device:a.raw", "host_cdrom:a.raw", "/dev/null", "/dev/zero", "raw:a.raw", "qcow2:a.qcow2", "a.raw/x", "file:dir",
            ":", ":a.raw", "file://a.raw", "blkdebug:a.raw", "blkverify:a.raw", "json:{} x", "json:{'file.filename':'a.raw'}",
            "blk", "dangling", "a.raw\n", "json:{'driver':'null-co'}", "throttle:a.raw", "copy-on-read:a.raw",
        ),
    )


# ---- trees ----

def values(r, default):
    """A value for an option of a node, mostly the right one."""
    if chance(r, 0.93):
        return default
    return pick(r, (None, 1, -1, 1.5, True, False, "", "x", ["a"], {"a": "b"}, "on", "off", "yes", 0, "1M"))


def protocol(r, name):
    driver = pick(r, ("file",) * 12 + ("host_device", "null-co", "nosuch", "raw", "FILE", "qcow2"))
    node = {"driver": values(r, driver), "filename": values(r, name)}
    if driver == "null-co":
        node = {"driver": driver, "size": values(r, 1 << 20)}
    extras = {
        "locking": pick(r, ("on", "off", "auto", "odd")),
        "aio": pick(r, ("threads", "native", "io_uring", "odd")),
        "read-only": pick(r, (True, False, "on", "off", "odd")),
        "cache.direct": pick(r, ("on", "off", "odd")),
        "pr-manager": "x",
        "foo": "bar",
        "drop-cache": pick(r, ("on", "off")),
        "x-check-cache-dropped": "off",
        "node-name": pick(r, ("n%d" % r.randrange(10**9), "n%d" % r.randrange(10**9), "1bad", "")),
        "auto-read-only": pick(r, (True, False)),
    }
    sprinkle(r, node, extras, 0.2)
    if chance(r, 0.05):
        node.pop("driver", None)
    if chance(r, 0.03):
        node.pop("filename", None)
    return node


def sprinkle(r, node, extras, p):
    # One that is not known among others: which of two is named first is a matter of hashing.
    while chance(r, p):
        p /= 4
        key = pick(r, sorted(extras))
        node[key] = values(r, extras[key])


def filtered(r, name, depth):
    """A node that reads another one."""
    driver = pick(r, ("blkdebug", "throttle", "copy-on-read", "compress", "preallocate", "blkverify", "raw", "raw", "raw"))
    below = node(r, name, depth + 1)
    if driver == "blkdebug":
        made = {"driver": driver, "image": below}
        extras = {"align": pick(r, (512, 4096, 1000)), "max-transfer": 65536, "config": pick(r, ("nosuch", "junk")), "foo": 1}
        extras["inject-error.0.event"] = pick(r, ("read_aio", "none", "odd"))
        extras["take-child-perms.0"] = pick(r, ("write", "odd"))
    elif driver == "throttle":
        made = {"driver": driver, "file": below, "throttle-group": pick(r, ("tg", "nosuch"))}
        extras = {"foo": 1}
    elif driver == "blkverify":
        made = {"driver": driver, "test": below, "raw": protocol(r, "a.raw")}
        extras = {"foo": 1}
    elif driver == "raw":
        made = {"driver": driver, "file": below}
        extras = {"offset": pick(r, (0, 512, 1 << 20, 1 << 40, "64k", 100)), "size": pick(r, (0, 512, 65536, 1 << 40, "1k", 1000))}
        extras["backing"] = pick(r, ("x", None))
    else:
        made = {"driver": driver, "file": below}
        extras = {"foo": 1, "prealloc-size": pick(r, ("1M", 1)), "prealloc-align": pick(r, (4096, 100)), "bottom": pick(r, ("n0", "x"))}
    sprinkle(r, made, extras, 0.4)
    return made


def node(r, name, depth=0):
    if depth > 3 or chance(r, 0.5 if depth else 0.08):
        return protocol(r, name)
    if chance(r, 0.2):
        return filtered(r, name, depth)
    fmt = IMAGES.get(name, "raw") if chance(r, 0.93) else pick(r, FORMATS + ("nosuch", "bochs", "dmg"))
    made = {"driver": values(r, fmt), "file": node(r, name, depth + 2 if chance(r, 0.8) else depth + 1)}
    extras = {
        "read-only": pick(r, (True, False, "on", "odd")),
        "force-share": pick(r, (True, False, "on", "odd")),
        "node-name": pick(r, ("n%d" % r.randrange(10**9), "n%d" % r.randrange(10**9), "1bad", "#x", "x" * 40)),
        "cache.direct": pick(r, ("on", "off", True)),
        "cache.no-flush": pick(r, ("on", "off", 1)),
        "discard": pick(r, ("unmap", "ignore", "odd")),
        "detect-zeroes": pick(r, ("on", "off", "unmap", "odd")),
        "foo": "bar",
        "backing": pick(r, (None, "nosuch", {"driver": "raw", "file.filename": "a.raw"}, {"driver": "qcow2", "file": {"driver": "file", "filename": "base.qcow2"}}, "")),
        "backing.driver": pick(r, ("raw", "qcow2", "nosuch")),
        "backing.file.filename": pick(r, ("base.qcow2", "a.raw", "nosuch")),
        "lazy-refcounts": pick(r, ("on", "off", "odd")),
        "encrypt.key-secret": pick(r, ("sec", "nosuch")),
        "encrypt.format": pick(r, ("luks", "aes", "odd")),
        "key-secret": pick(r, ("sec", "nosuch")),
        "data-file.driver": pick(r, ("file", "raw", "nosuch")),
        "data-file.filename": pick(r, ("data.raw", "nosuch")),
        "overlap-check": pick(r, ("all", "none", "odd")),
        "l2-cache-size": pick(r, ("1M", 65536, "x")),
        "cache-size": pick(r, ("1M", 0)),
        "pass-discard-other": pick(r, ("on", "off")),
        "driver": pick(r, ("raw", "qcow2")),
        "filename": name,
        "offset": 512,
        "size": 512,
    }
    sprinkle(r, made, extras, 0.3)
    if name in LOCKED and chance(r, 0.85):
        made["key-secret" if name == "a.luks" else "encrypt.key-secret"] = "sec"
    if chance(r, 0.06):
        made.pop("driver", None)
    if chance(r, 0.02):
        made["file"] = name
    return made


def flattened(r, tree, prefix="", always=False):
    """A tree of which some levels are written as dotted keys."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            if always or chance(r, 0.5):
                inner = flattened(r, value, "", always)
                for name, below in inner.items():
                    flat["%s.%s" % (key, name)] = below
            else:
                flat[key] = flattened(r, value, "", always)
        elif isinstance(value, list) and always:
            for number, below in enumerate(value):
                flat["%s.%d" % (key, number)] = below
        else:
            flat[key] = value
    return flat


def json_name(r, name):
    tree = flattened(r, node(r, name))
    if chance(r, 0.15):
        items = list(tree.items())
        r.shuffle(items)
        tree = dict(items)
    text = json.dumps(tree, separators=pick(r, ((",", ":"), (", ", ": "))), ensure_ascii=chance(r, 0.5))
    if chance(r, 0.4) and "'" not in text:
        text = text.replace('"', "'")
    if chance(r, 0.08):
        at = r.randrange(len(text) + 1)
        text = pick(
            r,
            (
                text[:at] + text[at + 1 :],
                text[:at] + pick(r, ("{", "}", "'", '"', ",", ":", " ", "x", "-", "1", "\\", "\n", "\\u00e9", "[", "true", "%s")) + text[at:],
                text + " ",
                text + "x",
                " " + text,
            ),
        )
    return "json:" + text


def escaped(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace(",", ",,")


def options_string(r, name):
    """A string for --image-opts."""
    if chance(r, 0.06):
        return pick(r, ("", name, "driver=raw", "help", "driver", "file=" + name, "filename=" + name, "file.filename", "json:{}", ",", "=", "driver=raw,file=x", "file.driver=file", "x=y", "driver=,file.filename=" + name, "driver=help", "file.filename=" + name + ",", "file.filename=" + name + ",,x", "nodriver", "driver=null-co", "driver=null-co,size=1M", "driver=qcow2,file.filename=%s,backing=" % name, "driver.x=1,driver=raw", "file.filename=%s,file=y" % name))
    if chance(r, 0.2):
        return "file.filename=" + escaped(name)
    tree = flattened(r, node(r, name), "", True)
    parts = ["%s=%s" % (key, escaped(value)) for key, value in tree.items()]
    if chance(r, 0.08):
        parts.insert(r.randrange(len(parts) + 1), pick(r, ("foo", "read-only", "noread-only", "foo=bar", "x.y=z", "file", "help", "file..x=1", ".=1", "a.=1", "file.0=x", "driver=raw")))
    return ",".join(parts)
