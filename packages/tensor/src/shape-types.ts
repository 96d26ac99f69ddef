import type { Shape } from './shape.ts';
import type { shapeOf } from './tensor.ts';

/**
 * Shapes in types. `Tensor<[8, 768]>` is a tensor whose extents the compiler knows, `Tensor<[number, 768]>` one of which
 * it knows some, and plain `Tensor` (its parameter is `any`) one of which it knows nothing, which goes anywhere and takes
 * anything. Known extents that cannot meet are compile errors; whatever is unknown is checked when the operation is called.
 */

type IsAny<T> = 0 extends 1 & T ? true : false;

/** A shape that is not in the type: it goes everywhere. */
// biome-ignore lint/suspicious/noExplicitAny: `any` is what lets a tensor of unknown shape go wherever a known one is asked for.
export type Dynamic = any;

/** The shape of a tensor (or of a number, which is a scalar) in its type. */
export type ShapeOf<T> = T extends { readonly [shapeOf]: infer S extends Shape } ? S : T extends number ? [] : Dynamic;

/** A shape as it was written, or `any` where its length is unknown. */
export type Literal<S extends Shape> = number extends S['length'] ? Dynamic : { -readonly [D in keyof S]: S[D] };

/** Says in a compile error why two shapes do not go together. */
export interface ShapeError<Message extends string> {
  readonly shapeError: Message;
}

/** T, or the reason why it cannot be passed. */
type Unless<Result, T> =
  IsAny<Result> extends true
    ? T
    : [Extract<Result, ShapeError<string>>] extends [never]
      ? T
      : Extract<Result, ShapeError<string>>;

/** The shape; any where it is an error, which the argument that caused it reports. */
type Known<Result> = Result extends Shape ? Result : Dynamic;

type Text<S> = S extends readonly [infer First extends number, ...infer Rest]
  ? `${First}${Rest extends readonly [] ? '' : `, ${Text<Rest>}`}`
  : '';

// Broadcasting.

/** The extent that two extents broadcast to, or never. */
type BroadcastExtent<A, B> = A extends 1
  ? B
  : B extends 1
    ? A
    : number extends A
      ? B
      : number extends B
        ? A
        : A extends B
          ? A
          : never;

/** Walks both shapes from their last axis. */
type BroadcastWalk<A, B, Tail extends Shape> = A extends readonly [...infer RestA, infer LastA]
  ? B extends readonly [...infer RestB, infer LastB]
    ? [BroadcastExtent<LastA, LastB>] extends [infer Extent extends number]
      ? [Extent] extends [never]
        ? never
        : BroadcastWalk<RestA, RestB, [Extent, ...Tail]>
      : never
    : [...A, ...Tail]
  : B extends Shape
    ? [...B, ...Tail]
    : never;

type BroadcastKnown<Operation extends string, A, B> = [A] extends [B]
  ? [B] extends [A]
    ? A
    : BroadcastOr<Operation, A, B>
  : BroadcastOr<Operation, A, B>;
type BroadcastOr<Operation extends string, A, B> = [BroadcastWalk<A, B, []>] extends [never]
  ? ShapeError<`${Operation}: shapes [${Text<A>}] and [${Text<B>}] do not broadcast`>
  : BroadcastWalk<A, B, []>;

/** NumPy's rule on types: align on the right; extents must be equal, or one of them 1. */
type Broadcast<Operation extends string, A, B> =
  IsAny<A> extends true
    ? Dynamic
    : IsAny<B> extends true
      ? Dynamic
      : A extends Shape
        ? B extends Shape
          ? BroadcastKnown<Operation, A, B>
          : Dynamic
        : Dynamic;

/** What two operands broadcast to. */
export type BroadcastShape<A, B> = Known<Broadcast<'elementwise', ShapeOf<A>, ShapeOf<B>>>;
/** The second operand, if it broadcasts with the first. */
export type BroadcastableTo<A, B> = B extends number ? B : Unless<Broadcast<'elementwise', ShapeOf<A>, ShapeOf<B>>, B>;

// Products.

type InnerError<K extends number, K2 extends number> = ShapeError<`matmul: inner dimensions ${K} and ${K2} differ`>;
type ScalarError = ShapeError<'matmul: a scalar has no axis to sum over; use mul'>;

/** A vector [K] times B, in which its row goes. */
type VectorTimes<K extends number, B> = B extends readonly [infer K2 extends number]
  ? [BroadcastSame<K, K2>] extends [never]
    ? InnerError<K, K2>
    : []
  : B extends readonly [...infer BatchB extends Shape, infer K2 extends number, infer N extends number]
    ? [BroadcastSame<K, K2>] extends [never]
      ? InnerError<K, K2>
      : [...BatchB, N]
    : ScalarError;

/** Matrices [...BatchA, M, K] times B, which is a column where it is a vector. */
type MatricesTimes<BatchA, M extends number, K extends number, B> = B extends readonly [infer K2 extends number]
  ? [BroadcastSame<K, K2>] extends [never]
    ? InnerError<K, K2>
    : [...(BatchA extends Shape ? BatchA : []), M]
  : B extends readonly [...infer BatchB, infer K2 extends number, infer N extends number]
    ? [BroadcastSame<K, K2>] extends [never]
      ? InnerError<K, K2>
      : Broadcast<'matmul (batch axes)', BatchA, BatchB> extends infer Batch
        ? Batch extends Shape
          ? [...Batch, M, N]
          : Batch
        : never
    : ScalarError;

type MatmulExtents<A, B> =
  IsAny<A> extends true
    ? Dynamic
    : IsAny<B> extends true
      ? Dynamic
      : A extends readonly [infer K extends number]
        ? VectorTimes<K, B>
        : A extends readonly [...infer BatchA, infer M extends number, infer K extends number]
          ? MatricesTimes<BatchA, M, K, B>
          : ScalarError;

/** Equal extents, as far as they are known; a 1 does not stretch. */
type BroadcastSame<A, B> = number extends A ? B : number extends B ? A : A extends B ? A : never;

/** [..., m, k] x [..., k, n] -> [..., m, n]; batch axes broadcast, and the axis of a vector goes. */
export type MatmulShape<A, B> = Known<MatmulExtents<ShapeOf<A>, ShapeOf<B>>>;
/** The right operand, if its rows are as many as the left one's columns. */
export type MatmulOperand<A, B> = Unless<MatmulExtents<ShapeOf<A>, ShapeOf<B>>, B>;

type OuterExtents<A, B> =
  IsAny<A> extends true
    ? Dynamic
    : IsAny<B> extends true
      ? Dynamic
      : A extends readonly [infer N extends number]
        ? B extends readonly [infer M extends number]
          ? [N, M]
          : Dynamic
        : Dynamic;
/** [n] and [m] -> [n, m]. */
export type OuterShape<A, B> = Known<OuterExtents<ShapeOf<A>, ShapeOf<B>>>;

// Axes.

/** The axes that -1, -2, … leave out at the end. */
interface Last {
  1: [unknown];
  2: [unknown, unknown];
  3: [unknown, unknown, unknown];
  4: [unknown, unknown, unknown, unknown];
  5: [unknown, unknown, unknown, unknown, unknown];
  6: [unknown, unknown, unknown, unknown, unknown, unknown];
  7: [unknown, unknown, unknown, unknown, unknown, unknown, unknown];
  8: [unknown, unknown, unknown, unknown, unknown, unknown, unknown, unknown];
}

/** An axis of S counted from 0 (negative ones count from the end), as a string; never where it does not exist. */
type Axis<S extends Shape, D extends number> = `${D}` extends `-${infer N extends keyof Last}`
  ? S extends readonly [...infer Rest, ...Last[N]]
    ? `${Rest['length']}`
    : never
  : `${D}` extends keyof S
    ? `${D}`
    : never;

/** Whether a number is known to the compiler. */
type IsLiteral<N> = IsAny<N> extends true ? false : number extends N ? false : true;

/** An extent of -1 becomes unknown. */
export type ReshapedShape<N extends Shape> = number extends N['length']
  ? Dynamic
  : { -readonly [D in keyof N]: N[D] extends -1 ? number : N[D] };

type PermutedExtents<S, P extends Shape> =
  IsAny<S> extends true
    ? Dynamic
    : number extends P['length']
      ? Dynamic
      : S extends Shape
        ? P['length'] extends S['length']
          ? { -readonly [D in keyof P]: [Axis<S, P[D]>] extends [infer At extends keyof S] ? S[At] : never }
          : Dynamic
        : Dynamic;
/** Axes in another order. */
export type PermutedShape<T, P extends Shape> = Known<PermutedExtents<ShapeOf<T>, P>>;

type TransposedExtents<S, A extends number, B extends number> =
  IsAny<S> extends true
    ? Dynamic
    : [IsLiteral<A>, IsLiteral<B>] extends [true, true]
      ? S extends Shape
        ? {
            [D in keyof S]: D extends Axis<S, A>
              ? S[Axis<S, B> & keyof S]
              : D extends Axis<S, B>
                ? S[Axis<S, A> & keyof S]
                : S[D];
          }
        : Dynamic
      : Dynamic;
/** Two axes swapped. */
export type TransposedShape<T, A extends number, B extends number> = Known<TransposedExtents<ShapeOf<T>, A, B>>;

type Without<S, At extends string, Seen extends Shape = []> = S extends readonly [
  infer First extends number,
  ...infer Rest,
]
  ? `${Seen['length']}` extends At
    ? [...Seen, ...(Rest extends Shape ? Rest : [])]
    : Without<Rest, At, [...Seen, First]>
  : Seen;

type ReducedExtents<S, O> =
  IsAny<S> extends true
    ? Dynamic
    : O extends { dim: infer D }
      ? S extends Shape
        ? D extends number
          ? IsLiteral<D> extends true
            ? O extends { keepdim: infer K }
              ? [K] extends [true]
                ? { [I in keyof S]: I extends Axis<S, D> ? 1 : S[I] }
                : [K] extends [false]
                  ? Without<S, Axis<S, D>>
                  : Dynamic
              : 'keepdim' extends keyof O
                ? Dynamic
                : Without<S, Axis<S, D>>
            : Dynamic
          : Dynamic
        : Dynamic
      : O extends { keepdim: true; dim?: undefined }
        ? S extends Shape
          ? { [I in keyof S]: 1 }
          : Dynamic
        : [keyof O] extends [never]
          ? []
          : O extends { keepdim: false }
            ? 'dim' extends keyof O
              ? Dynamic
              : []
            : Dynamic;
/** Refuses options of a reduction that have another name: NumPy's `axis`, say. */
export type OnlyAxisOptions<O> = [Exclude<keyof O, 'dim' | 'keepdim'>] extends [never]
  ? unknown
  : { readonly [K in Exclude<keyof O, 'dim' | 'keepdim'>]: never };
/** Without the axis `dim`, or with 1 in its place; a scalar where no axis is named. */
export type ReducedShape<T, O> = Known<ReducedExtents<ShapeOf<T>, O>>;

/** The shape that `assertShape` asserts: null is an extent that may be anything. */
export type Pattern<P extends readonly (number | null)[]> = number extends P['length']
  ? Dynamic
  : { -readonly [D in keyof P]: P[D] extends number ? P[D] : number };
