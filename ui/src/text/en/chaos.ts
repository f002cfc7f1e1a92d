export const chaos = {} as const;
