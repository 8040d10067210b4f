"""MAE: He et al. 2021, https://arxiv.org/abs/2111.06377."""

import keras

from keras_ssl import losses, ops
from keras_ssl.core.registry import register
from keras_ssl.methods.base import Batch, Method, Outputs, Pictures, Scalars
from keras_ssl.metrics.signs import logged


@register("method")
class MAE(Method):
    """Paints the hidden patches of an image from the few that are left.

    The encoder sees the visible patches only, which is what makes it cheap.

    Args:
        encoder: A ViT: `visible_tokens` hides patches and maps the others.
        decoder: Maps encoded tokens and their places to the pixels of all patches.
        mask_ratio: Share of patches that are hidden, in (0, 1).
        norm_pix_loss: Whether the target patches are normalised, each by itself.

    Raises:
        TypeError: If the encoder is no ViT.
        ValueError: If `mask_ratio` is out of range.
    """

    num_views = 1
    paper = "https://arxiv.org/abs/2111.06377"
    year = 2021
    family = "masked modelling"
    needs = ("visible_tokens",)
    spans = "local"
    shows = "reconstructions"
    signs = (
        logged(
            "loss",
            warns=(None, 0.98),
            advice="patches are painted no better than by their mean, so the encoder "
            "is not used; look at the decoder's positions and at the order of patches.",
        ),
    )

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.layers.Layer,
        mask_ratio: float = 0.75,
        norm_pix_loss: bool = True,
    ) -> None:
        super().__init__(encoder)
        if not 0.0 < mask_ratio < 1.0:
            raise ValueError(f"mask_ratio must be in (0, 1), got {mask_ratio}.")
        self.decoder = decoder
        self.mask_ratio = mask_ratio
        self.norm_pix_loss = norm_pix_loss

    def forward(self, batch: Batch) -> Outputs:
        images = batch["views"][0]
        latent, mask, restore = self.encoder.visible_tokens(
            images, batch["seed"], self.mask_ratio, training=True
        )
        prediction = self.decoder(latent, restore, training=True)
        return {"prediction": prediction, "mask": mask, "images": images}

    def objective(self, outputs: Outputs) -> Scalars:
        loss = losses.mae(
            outputs["prediction"],
            outputs["images"],
            outputs["mask"],
            self.encoder.patch_size,
            self.norm_pix_loss,
        )
        return {"loss": loss}

    def pictures(self, outputs: Outputs) -> Pictures:
        """Images, what the encoder saw of them, and what was painted."""
        size, images = self.encoder.patch_size, outputs["images"]
        patches, painted = ops.patchify(images, size), outputs["prediction"]
        if self.norm_pix_loss:
            # Back to pixels by the true patch's statistics: nothing else knows them.
            mean, deviation = losses.patch_statistics(patches)
            painted = painted * deviation + mean
        hidden = outputs["mask"][..., None]
        grid = (images.shape[1] // size, images.shape[2] // size)
        whole = patches * (1 - hidden) + painted * hidden
        return {
            "image": images,
            "seen": ops.hide_patches(images, outputs["mask"], size),
            "painted": ops.unpatchify(whole, size, grid),
        }
