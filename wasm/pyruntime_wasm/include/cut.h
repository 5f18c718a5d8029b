// Loops of a kernel that computes one part of its call: `cut` numbers the axis that is cut, of which the part has
// the units [first, last). Loops along other axes run whole.

#pragma once

// Where a loop along axis AXIS of SIZE points begins and ends, if a unit is STEP of them.
#define CUT_BEGIN(AXIS, STEP) (cut == (AXIS) ? first * (STEP) : 0)
#define CUT_END(AXIS, STEP, SIZE) (cut == (AXIS) && last * (STEP) < (SIZE) ? last * (STEP) : (SIZE))
