import swc from '@swc/jest';

/** Loads the library without what it has for NestJS, which takes a test of limits longer to load than to run. */
const withoutNest = (source) => source.replace(/^export [^;]*? from '\.\/nest\/[^;]*;/gm, '');

export default {
  createTransformer(options) {
    const { process, getCacheKey, ...transformer } = swc.createTransformer(options);
    return {
      ...transformer,
      process: (source, ...rest) => process(withoutNest(source), ...rest),
      processAsync: async (source, ...rest) => process(withoutNest(source), ...rest),
      getCacheKey: (source, ...rest) => getCacheKey(withoutNest(source), ...rest),
    };
  },
};
