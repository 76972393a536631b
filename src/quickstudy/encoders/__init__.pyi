# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

from quickstudy.apply.run_encoder import RunEncoder as RunEncoder
from quickstudy.encoders.cache import EmbeddingCache as EmbeddingCache
from quickstudy.encoders.efficientnet_lite0 import EfficientNetLite0 as EfficientNetLite0
from quickstudy.encoders.embedding import embed_files as embed_files
from quickstudy.encoders.encoder import Encoder as Encoder
from quickstudy.encoders.hugging_face import HuggingFace as HuggingFace
from quickstudy.encoders.open_clip import OpenClip as OpenClip
from quickstudy.encoders.pixels import Pixels as Pixels
from quickstudy.encoders.reading import content_hash as content_hash
from quickstudy.encoders.reading import read_image as read_image
from quickstudy.encoders.timm import Timm as Timm
