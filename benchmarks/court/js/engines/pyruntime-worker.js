// pyruntime by its defaults: in a Worker, with messages there and back and new memory for each run's outputs.
import { opener } from "../pyruntime.js";

export const open = opener(false);
