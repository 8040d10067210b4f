"""Every strength of the embedded scenes, in one place."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Strengths:
    """How much each nuisance factor varies. Changing any of them moves the pixels.

    Lengths are shares of the frame's width, luminances lie in `[0, 1]`.

    Args:
        scale_min: Smallest extent of the object.
        scale_max: Largest extent of the object.
        overhang: How far the object may reach over the border of the frame.
        rotation: Largest tilt to either side, in radians.
        aspect: Largest stretch of the width (the height shrinks by the same).
        contrast: Least luminance gap between the object's body and the backdrop.
        detail: Luminance gap between a body and the details drawn on it.
        spread: Largest luminance difference between the bodies of one object.
        natural: Share of objects painted in the colours of their parts (leaves green).
        hue: Largest hue error of a naturally painted part, in turns.
        ground: Largest luminance difference between sky and ground.
        backdrop_texture: Largest luminance amplitude of the backdrop's texture.
        object_texture: Largest luminance amplitude of the object's texture.
        saturation: Largest saturation of sky and ground.
        shading: Largest relative change of the light from the middle to a side.
        shadow: Largest share of the light that soft shadows take away.
        rim: Largest darkening of the object's silhouette.
        brightness: Largest relative change of the exposure.
        noise: Largest standard deviation of the pixel noise.
        occluders: Largest number of occluders.
        occluder_min: Smallest radius of an occluder.
        occluder_max: Largest radius of an occluder.
    """

    scale_min: float = 0.5
    scale_max: float = 0.86
    overhang: float = 0.1
    rotation: float = 0.35
    aspect: float = 0.15
    contrast: float = 0.22
    detail: float = 0.32
    spread: float = 0.15
    natural: float = 0.65
    hue: float = 0.05
    ground: float = 0.06
    backdrop_texture: float = 0.05
    object_texture: float = 0.05
    saturation: float = 0.6
    shading: float = 0.6
    shadow: float = 1.0
    rim: float = 0.35
    brightness: float = 0.15
    noise: float = 0.03
    occluders: int = 2
    occluder_min: float = 0.04
    occluder_max: float = 0.09
