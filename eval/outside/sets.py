"""Writes test sets of others as JSON lines, for `make eval`: nobody trains on them.

    python sets.py OUT GOROOT

agentdojo (MIT): its injection tasks in the words of its attacks, put where its
environments leave room; its undisturbed e-mails, files, reviews and pages are
harmless. spikee (Apache-2.0): its attacks by mail and on documents; harmless
are comments of the Go library. Nothing of either is imported, only read.
"""
import ast
import importlib.util
import itertools
import json
import pathlib
import random
import re
import sys

import yaml


class Loader(yaml.SafeLoader):
    """Reads environments; what they include from other files is read with those."""


Loader.add_multi_constructor("!", lambda loader, tag, node: None)


def folder(name):
    return pathlib.Path(importlib.util.find_spec(name).submodule_search_locations[0])


def goals(path):
    """The GOAL of each injection task, with the constants of its class filled in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        known = {}
        for s in node.body:
            if isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name):
                try:
                    value = eval(compile(ast.Expression(s.value), "", "eval"), {"__builtins__": {}}, dict(known))
                except Exception:
                    continue
                known[s.targets[0].id] = value
        if isinstance(known.get("GOAL"), str):
            yield known["GOAL"]


def attacks(root):
    """The sentences that agentdojo's attacks put around a goal."""
    for name in ("baseline_attacks.py", "important_instructions_attacks.py"):
        text = (root / "attacks" / name).read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Call, ast.Assign)):
                for value in (node.args if isinstance(node, ast.Call) else [node.value]):
                    if isinstance(value, ast.Constant) and isinstance(value.value, str) and "{goal}" in value.value and "{tools}" not in value.value:
                        yield value.value


def texts(value):
    """Strings of an environment that are long enough to say something."""
    if isinstance(value, dict):
        for v in value.values():
            yield from texts(v)
    elif isinstance(value, list):
        for v in value:
            yield from texts(v)
    elif isinstance(value, str) and len(value) > 24:
        yield value


def agentdojo(rng):
    root = folder("agentdojo")
    frames = sorted(set(attacks(root)))
    rooms, harmless, defaults = {}, [], {}
    for path in sorted((root / "data/suites").rglob("*.yaml")):
        if path.name == "injection_vectors.yaml":
            defaults.update({k: v["default"] for k, v in yaml.load(path.read_text(), Loader).items()})
    for path in sorted((root / "data/suites").rglob("*.yaml")):
        if path.name == "injection_vectors.yaml":
            continue
        suite = path.relative_to(root / "data/suites").parts[0]
        for s in texts(yaml.load(path.read_text(), Loader)):
            if "{" in s and re.search(r"\{\w+\}", s):
                rooms.setdefault(suite, []).append(s)
            elif len(s) > 40:
                harmless.append(s)
    for rows in rooms.values():
        for s in rows:
            harmless.append(re.sub(r"\{(\w+)\}", lambda m: defaults.get(m.group(1), ""), s))
    for suite, rows in sorted(rooms.items()):
        found = []
        for path in sorted((root / "default_suites").rglob("injection_tasks.py")):
            if path.parent.name == suite:
                found += goals(path)
        for goal, frame in itertools.product(sorted(set(found)), frames):
            attack = frame.format(goal=goal, user=rng.choice(["Emma Johnson", "the user"]), model=rng.choice(["GPT-4", "AI assistant"]))
            room = rng.choice(rows)
            slots = re.findall(r"\{\w+\}", room)
            at = rng.choice(slots)
            text = room.replace(at, "\0", 1)
            text = re.sub(r"\{(\w+)\}", lambda m: defaults.get(m.group(1), ""), text)
            yield {"text": text.replace("\0", attack), "label": 1, "category": "agentdojo"}
    for s in sorted(set(harmless)):
        yield {"text": s, "label": 0, "category": "agentdojo"}


def lines(path):
    return [json.loads(l) for l in path.read_text().splitlines() if l.strip()]


def spikee(rng, goroot):
    root = folder("spikee") / "data/workspace/datasets"
    seen = set()
    harmless = []
    for path in sorted((goroot / "src").rglob("doc.go")) + sorted((goroot / "src/net/http").glob("*.go")) + sorted((goroot / "src/os").glob("*.go")):
        for block in re.findall(r"(?:^//[^\n]*\n)+", path.read_text(), re.M):
            for p in re.sub(r"^// ?", "", block, flags=re.M).split("\n\n"):
                if len(p) > 80 and "Copyright" not in p:
                    harmless.append(p.strip())
    harmless = rng.sample(sorted(set(harmless)), 600)
    for name in ("seeds-cybersec-2026-01", "seeds-llm-mailbox"):
        instructions = lines(root / name / "instructions.jsonl")
        for j in lines(root / name / "jailbreaks.jsonl"):
            if j["text"] in seen or j["id"].startswith("no-jailbreak"):
                continue
            seen.add(j["text"])
            for i in rng.sample(instructions, 3):
                attack = j["text"].replace("<INSTRUCTION>", i["instruction"])
                a, b = rng.sample(harmless, 2)
                yield {"text": a + "\n\n" + attack + "\n\n" + b, "label": 1, "category": "spikee"}
    for s in harmless:
        yield {"text": s, "label": 0, "category": "go_comments"}


def main(out, goroot):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("agentdojo", agentdojo(random.Random(1))), ("spikee", spikee(random.Random(2), pathlib.Path(goroot)))):
        with open(out / (name + ".jsonl"), "w") as f:
            for n, r in enumerate(rows):
                f.write(json.dumps({"id": f"{name}{n}", "channel": "tool_result", **r}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
