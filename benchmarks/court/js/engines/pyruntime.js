// pyruntime on the page's own thread, where all other engines run.
import { opener } from "../pyruntime.js";

export const open = opener(false);
