// pyruntime as a page sets it for speed; like all other engines it is on the page's own thread.
import { opener } from "../pyruntime.js";

export const open = opener(true);
