/**
 * A method of Tensor is the function of its name: this typedoc plugin gives it that function's documentation, and a link.
 * @param {import('typedoc').Application} app
 */
import { Comment, Converter, ReflectionKind } from 'typedoc';

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const functions = new Map();
    for (const reflection of project.getReflectionsByKind(ReflectionKind.Function | ReflectionKind.Variable)) {
      if (!reflection.getFullName().startsWith('@dawnchorus/tensor')) continue;
      functions.set(reflection.name, reflection);
    }
    for (const method of project.getReflectionsByKind(ReflectionKind.Method)) {
      const twin = functions.get(method.name);
      if (method.parent?.name !== 'Tensor' || !twin) continue;
      const text = (twin.signatures?.[0] ?? twin).comment;
      if (!text) continue;
      for (const signature of method.signatures ?? []) {
        if (signature.comment) continue;
        signature.comment = new Comment(
          [
            ...Comment.cloneDisplayParts(text.summary),
            { kind: 'text', text: ' As the function ' },
            { kind: 'inline-tag', tag: '@link', text: twin.name, target: twin },
            { kind: 'text', text: '.' },
          ],
          text.blockTags.map((tag) => tag.clone()).filter((tag) => tag.tag !== '@param'),
        );
      }
    }
  });
}
