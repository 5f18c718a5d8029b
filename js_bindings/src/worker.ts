// What this package's Workers run. It has no code of its own: pages have the runtime already, and download nothing twice.

import { serve } from "./index.ts";

serve();
