# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

from quickstudy.encoders.cache import EmbeddingCache as EmbeddingCache
from quickstudy.encoders.encoder import Encoder as Encoder
from quickstudy.encoders.pixels import Pixels as Pixels
from quickstudy.encoders.reading import embed_files as embed_files
from quickstudy.encoders.reading import read_image as read_image
