//! A directory to an image, with buildah.
