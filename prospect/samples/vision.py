"""The one door from a clip to its frame vectors, whatever holds its frames.

In: data folders, a frames root, an encoder. Out: shards for whatever has to be encoded, and a
function clip -> (F, P, E).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from prospect.errors import MissingError
from prospect.files import Account
from prospect.frames.decode import frame_total
from prospect.frames.encoders import Encoder
from prospect.frames.features import encode_range, encode_videos, feature_path, load_features
from prospect.frames.stores import arrow_kind, arrow_length, find_store, read_arrow_features
from prospect.types import Clip


@dataclass(frozen=True, slots=True)
class Source:
    """The file that holds a clip's frames, or vectors of them.

    Attributes:
        path: A video or an arrow store.
        first_frame: The frame its first row holds; 0 but for stores of one clip.
    """

    path: Path
    first_frame: int = 0

    @property
    def is_features(self) -> bool:
        """Whether it holds vectors already."""
        return self.path.suffix == ".arrow" and arrow_kind(self.path) == "features"


def find_source(clip: Clip, data: Path, frames_root: Path | None, encoder_name: str) -> Source:
    """Where a clip's frames are.

    In this order: the file it names below the data folder; then below the frames root its own
    feature store (by ``store_id``), ProAssist's feature store of the encoder, the file it names,
    the frame store of ProAssist's name.

    Raises:
        MissingError: none of these; names the paths.
    """
    if clip.frames_file is not None and (data / clip.frames_file).is_file():
        return Source(data / clip.frames_file)
    if frames_root is None:
        raise MissingError(
            f"{clip.clip_id}: no video {data / (clip.frames_file or clip.video_id)}, and no "
            "--frames-root to look for a store in"
        )
    if clip.store_id is not None:
        for folder in (frames_root, frames_root / clip.dataset):
            if (folder / f"{clip.store_id}.arrow").is_file():
                return Source(folder / f"{clip.store_id}.arrow", clip.store_start)
    # ProAssist names a feature folder after the hub id and the layer
    features = f"features/{encoder_name.replace('/', '___')}@-2"
    if (frames_root / clip.dataset / features).is_dir():
        return Source(find_store(frames_root, clip.dataset, clip.video_id, None, features))
    return Source(find_store(frames_root, clip.dataset, clip.video_id, clip.frames_file))


def encode_clips(
    clips: Sequence[Clip], data: Path, frames_root: Path | None, encoder: Encoder
) -> Account:
    """Encode every video and frame store of the clips that has no shard in ``data`` yet.

    Returns:
        Shards there are now; stores that hold vectors already need none.
    """
    sources = {
        clip.video_id: (find_source(clip, data, frames_root, encoder.name), clip.fps)
        for clip in clips
    }
    to_encode = [
        (video_id, source.path, fps)
        for video_id, (source, fps) in sources.items()
        if not source.is_features
    ]
    rates = sorted({fps for _, _, fps in to_encode})
    kept = 0
    for rate in rates:
        items = [(video_id, path) for video_id, path, fps in to_encode if fps == rate]
        kept += encode_videos(items, rate, encoder, data / "features").kept
    return Account(kept, {})


@dataclass(frozen=True, slots=True)
class Vision:
    """Frame vectors of clips from several data folders; call it with a clip.

    Attributes:
        folders: Data folders, each with its ``features``.
        frames_root: ProAssist's ``datasets`` folder, or one of one-clip stores; may be None.
        encoder_name, encoder_key, vectors: Of the encoder and the vectors a frame.
        encoder: Encodes the frames of clips whose video has no shard; None refuses them.
    """

    folders: tuple[Path, ...]
    frames_root: Path | None
    encoder_name: str
    encoder_key: str
    vectors: int
    encoder: Encoder | None = None

    def __call__(self, clip: Clip) -> Tensor:
        """(F, P, E) of the clip's frames ``[start_frame, stop_frame)``.

        Raises:
            MissingError: no shard and no store of vectors, or with an encoder not even frames.
            DataError: it holds fewer frames.
        """
        for folder in self.folders:
            shard = feature_path(folder / "features", self.encoder_key, clip.video_id)
            if shard.is_file():
                return load_features(shard, clip.start_frame, clip.stop_frame)
        source = find_source(clip, self.folders[0], self.frames_root, self.encoder_name)
        if not source.is_features:
            if self.encoder is None:
                raise MissingError(
                    f"{clip.video_id}: {source.path} is not encoded by {self.encoder_name} yet; "
                    "run `prospect features` on its folder, or set `model.features: on_the_fly`"
                )
            first = source.first_frame
            return encode_range(
                source.path,
                clip.fps,
                self.encoder,
                clip.start_frame - first,
                clip.stop_frame - first,
            )
        return read_arrow_features(
            source.path, self.vectors, clip.start_frame, clip.stop_frame, source.first_frame
        )


def stored_frames(clip: Clip, data: Path, frames_root: Path | None, encoder_name: str) -> range:
    """The frames that a clip's video or store holds."""
    source = find_source(clip, data, frames_root, encoder_name)
    if source.path.suffix == ".arrow":
        return range(source.first_frame, source.first_frame + arrow_length(source.path))
    return range(frame_total(source.path, clip.fps))
