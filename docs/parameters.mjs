/**
 * A parameter that is taken apart in a signature has no name there. This typedoc plugin calls it `options`, or what its type
 * is called where that is not about options; check.mjs fails where that says nothing.
 */
import { Converter, ReflectionKind } from 'typedoc';

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const parameter of project.getReflectionsByKind(ReflectionKind.Parameter)) {
      if (parameter.name !== '__namedParameters') continue;
      const { type, parent } = parameter;
      const name =
        type?.type === 'reference' && !/(Options|Partial|Omit|Pick)$/.test(type.name) ? type.name : 'options';
      const called = name[0].toLowerCase() + name.slice(1);
      if (!parent.parameters.some((other) => other.name === called)) parameter.name = called;
    }
  });
}
