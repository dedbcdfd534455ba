/** The Lua version of `calendar-window.strategy.ts`. Must follow the fixed window, whose functions it uses. */
export const calendarWindowLua = `
-- calendar-window: text "end count".
strategies['calendar-window'] = fixed_window
`;
