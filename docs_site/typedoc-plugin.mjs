// Leaves constructors out of the reference: sessions are made by `load`, and errors are not made by users at all.
import { Converter, ReflectionKind } from "typedoc";

export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const found of project.getReflectionsByKind(ReflectionKind.Constructor)) project.removeReflection(found);
  });
}
