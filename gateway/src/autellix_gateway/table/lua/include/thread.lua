-- thread: the call under way that a reference names, with its program's row; nil if it was settled before.
local function find(ref)
  local row = read(ref.program)
  local thread = row and row.threads[ref.call]
  if thread and thread.fence == ref.fence then
    return thread, row
  end
end
