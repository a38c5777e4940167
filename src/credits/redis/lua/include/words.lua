-- Values that are seldom read come in one text: an argument of its own costs each call more.
local function words_of(text)
  local words = {}
  for word in string.gmatch(text, '%S+') do words[#words + 1] = word end
  return words
end
