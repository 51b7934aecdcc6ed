"""The experiment file, from its text to a run.

The rooms, each of which imports only those before it:

- ``text``: YAML whose every key and value knows its place;
- ``model``: the keys, their meaning, their defaults;
- ``checks``: what concerns several keys at once;
- ``load``: reading the file and the other places of values, with all errors at once;
- ``build``: the functions, devices and points that it names;
- ``run``: running them;
- ``rehearsal``: what a run will do or would have done, told without one.
"""
