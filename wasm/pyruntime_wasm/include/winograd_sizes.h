// Outputs of a tile of F(4x4, 3x3), inputs under it, and points, in both directions: of winograd.h and winograd8.h.

#pragma once

enum { WINOGRAD_TILE = 4, WINOGRAD_PATCH = 6, WINOGRAD_POINTS = 36 };
