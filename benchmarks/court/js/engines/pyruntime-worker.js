// pyruntime as it runs by default, in a Worker, with messages there and back in each run.
import { opener } from "../pyruntime.js";

export const open = opener(undefined);
