/** The parts of an OpenAPI document, of version 3.0 or 3.1, that this library reads and writes. */
export interface OpenApiDocument {
  openapi: string;
  paths: object;
  components?: object;
}

/** An operation of a document. */
export interface OpenApiOperation {
  responses?: Readonly<Record<string, object>>;
}

/** The methods that a path of a document may have. */
export const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const;
